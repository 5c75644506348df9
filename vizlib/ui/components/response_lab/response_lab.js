const SVG = 'http://www.w3.org/2000/svg';
const TOP = 3;

class Lab {
  constructor(root) {
    this.find = name => root.querySelector('.' + name);
    this.far = this.find('far');
    this.far.addEventListener('input', () => {
      this.by = Number(this.far.value);
      this.draw();
      this.tell('view', { at: this.header.strengths[this.by] });
    });
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.by = Math.max(0, header.strengths.indexOf(header.at));
    this.far.max = header.strengths.length - 1;
    this.far.setAttribute('aria-label', header.change);
    this.find('what').textContent = header.change;
    this.find('size').textContent = `${header.size[1]} × ${header.size[0]} px`;
    this.find('sides').classList.toggle('own', !header.shared);
    this.find('models').replaceChildren(...header.models.map((model, number) => this.card(model, number)));
    this.draw();
  }

  card(model, number) {
    const one = el('div', 'model');
    const first = model.labels[model.target];
    const before = this.chance(number, -1, model.target);
    one.style.setProperty('--mark', model.colour);
    one.append(el('b', '', model.title), el('span', 'first', `picture as it is: ${first}, ${percent(before)}`));
    if (!this.header.shared) {
      const stage = el('div', 'stage');
      stage.append(document.createElement('canvas'));
      one.append(stage);
    }
    const rows = el('div', 'rows');
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '0 0 100 40');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.classList.add('curve');
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', `probability of ${first} at every strength, 0 to 100 %`);
    const last = Math.max(1, this.header.strengths.length - 1);
    const x = index => (index / last) * 100;
    const path = document.createElementNS(SVG, 'path');
    const line = document.createElementNS(SVG, 'line');
    const base = document.createElementNS(SVG, 'line');
    path.setAttribute(
      'd',
      this.header.strengths
        .map((_, index) => `${index ? 'L' : 'M'}${x(index)} ${39 - 38 * this.chance(number, index, model.target)}`)
        .join(''),
    );
    Object.entries({ x1: 0, x2: 100, y1: 39, y2: 39 }).forEach(([name, value]) => base.setAttribute(name, value));
    base.classList.add('base');
    line.classList.add('now');
    line.setAttribute('y1', 0);
    line.setAttribute('y2', 40);
    svg.append(base, path, line);
    one.append(rows, svg);
    one.parts = { rows, line, x };
    return one;
  }

  chance(number, index, answer) {
    // row 0 is the picture as it is
    const known = this.arrays[`${number}.answers`];
    const classes = known.shape[1];
    return known[(index + 1) * classes + answer];
  }

  draw() {
    const { header, by } = this;
    const cards = [...this.find('models').children];
    this.far.value = by;
    this.find('shown').textContent = header.words[by];
    this.far.setAttribute('aria-valuetext', header.words[by]);
    if (header.shared) this.show(this.find('one').querySelector('.stage'), 0);
    cards.forEach((card, number) => {
      if (!header.shared) this.show(card.querySelector('.stage'), number);
      const { rows, line, x } = card.parts;
      const model = header.models[number];
      const order = model.labels.map((_, index) => index);
      const of = answer => this.chance(number, by, answer);
      const best = order.sort((a, b) => of(b) - of(a)).slice(0, TOP);
      if (!best.includes(model.target)) best[TOP - 1] = model.target;
      rows.replaceChildren(
        ...best.map(answer => {
          const row = el('div', answer === model.target ? 'row target' : 'row');
          const track = el('div', 'track');
          const fill = el('i');
          fill.style.width = `${of(answer) * 100}%`;
          track.append(fill);
          row.append(el('span', '', model.labels[answer]), el('span', '', percent(of(answer))), track);
          return row;
        }),
      );
      card.dataset.kept = of(model.target);
      line.setAttribute('x1', x(by));
      line.setAttribute('x2', x(by));
    });
  }

  show(stage, number) {
    const [height, width] = this.header.size;
    const pixels = this.arrays[`${number}.pictures`];
    const from = this.by * height * width * 3;
    paint(stage.querySelector('canvas'), height, width, cell => {
      const at = from + 3 * cell;
      return (0xff000000 | (pixels[at + 2] << 16) | (pixels[at + 1] << 8) | pixels[at]) >>> 0;
    });
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.dataset.drawn = String(this.by);
  }
}

export default mount(Lab);
