class Moved {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.stage = this.find('stage');
    this.canvas = root.querySelector('canvas');
    this.far = this.find('far');
    this.far.addEventListener('input', () => {
      this.by = Number(this.far.value);
      this.draw();
    });
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.kind ??= String(header.tiles.at(-1));
    this.by ??= header.shifts.length >> 2;
    this.far.max = header.shifts.length - 1;
    const kinds = [
      ...header.tiles.map(tiles => [String(tiles), `${tiles} × ${tiles} patches shuffled`]),
      ['shift', 'shifted'],
    ];
    choices(this.find('kinds'), kinds, this.kind, 'What happens to the picture', kind => {
      this.kind = kind;
      this.draw();
    });
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = photograph(arrays.photo);
    this.image = new Image();
    this.image.onload = () => this.draw();
    this.image.src = this.url;
    this.stage.style.aspectRatio = `${header.size[1]} / ${header.size[0]}`;
  }

  draw() {
    const { header, kind, image } = this;
    const shift = kind === 'shift';
    const share = header.shifts[this.by];
    this.find('by').style.display = shift ? '' : 'none';
    this.far.value = this.by;
    this.find('far-shown').textContent = `${(share * 100).toFixed(1)} % of the width`;
    const width = (this.canvas.width = image.naturalWidth);
    const height = (this.canvas.height = image.naturalHeight);
    const pen = this.canvas.getContext('2d');
    if (shift) {
      const dx = Math.round(share * width);
      pen.drawImage(image, dx, 0);
      pen.drawImage(image, dx - width, 0);
      this.find('how').textContent = 'moved to the right; what leaves comes in on the left';
    } else {
      const tiles = Number(kind);
      const order = this.arrays[`order.${kind}`];
      const w = width / tiles;
      const h = height / tiles;
      order.forEach((from, to) =>
        pen.drawImage(
          image,
          (from % tiles) * w,
          Math.floor(from / tiles) * h,
          w,
          h,
          (to % tiles) * w,
          Math.floor(to / tiles) * h,
          w,
          h,
        ),
      );
      this.find('how').textContent = `one of ${header.seeds} orders; the numbers are their mean`;
    }
    this.stage.dataset.drawn = `${kind} ${this.by}`;
    this.find('bars').replaceChildren(
      ...header.models.map(model =>
        this.bar(model, shift ? model.shifted[this.by] : model.shuffled[header.tiles.indexOf(Number(kind))], shift),
      ),
    );
    this.find('reading').textContent =
      'The bar is the distance between the answers before and after, half the sum of |p′ − p| over all classes: 0 the same answer, 100 % no class in common. ' +
      'The cosine compares each token of the last stage with the token of the same pixels after the move.';
  }

  bar(model, change, shift) {
    const one = el('div', 'model');
    const facts = el('div', 'facts');
    const track = el('div', 'track');
    const fill = el('i');
    const left = el('span');
    const distance =
      change.distance < 5e-4 ? `${change.distance < 1e-6 ? 0 : 'under 0.1'} %` : percent(change.distance);
    left.append(el('b', '', model.title));
    facts.append(
      left,
      el('span', '', `answer moved ${distance}`),
      el(
        'span',
        '',
        `same first answer: ${change.same === 1 ? 'yes' : change.same === 0 ? 'no' : percent(change.same) + ' of orders'}`,
      ),
      el(
        'span',
        '',
        change.tokens === null ? 'the move cuts through its tokens' : `tokens’ cosine ${change.tokens.toFixed(3)}`,
      ),
    );
    fill.style.width = `${change.distance * 100}%`;
    track.append(fill);
    one.append(facts, track);
    one.dataset.distance = change.distance;
    if (shift) {
      const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
      const path = document.createElementNS(svg.namespaceURI, 'path');
      const line = document.createElementNS(svg.namespaceURI, 'line');
      const last = model.shifted.length - 1;
      svg.setAttribute('viewBox', '0 0 100 40');
      svg.setAttribute('preserveAspectRatio', 'none');
      svg.classList.add('curve');
      path.setAttribute(
        'd',
        model.shifted.map((point, i) => `${i ? 'L' : 'M'}${(i / last) * 100} ${40 - 38 * point.distance}`).join(''),
      );
      line.setAttribute('x1', (this.by / last) * 100);
      line.setAttribute('x2', (this.by / last) * 100);
      line.setAttribute('y1', 0);
      line.setAttribute('y2', 40);
      svg.append(path, line);
      one.append(svg);
    }
    return one;
  }
}

export default mount(Moved);
