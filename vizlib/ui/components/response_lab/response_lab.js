import { rgbPixel } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { create, createSvg } from '../_lib/dom.js';
import { percent } from '../_lib/formatting.js';
import { paint } from '../_lib/grid.js';

const TOP = 3;

class ResponseLab extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.far = this.find('far');
    this.far.addEventListener('input', () => {
      this.by = Number(this.far.value);
      this.draw();
      this.report('view', { at: this.header.strengths[this.by] });
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
    this.find('models').replaceChildren(...header.models.map((model, index) => this.card(model, index)));
    this.draw();
  }

  card(model, index) {
    const card = create('div', 'model');
    const label = model.labels[model.target];
    const before = percent(this.chance(index, -1, model.target));
    const rows = create('div', 'rows');
    const { curve, place } = this.curve(model, index);
    card.style.setProperty('--mark', model.colour);
    card.append(create('b', '', model.title), create('span', 'first', `picture as it is: ${label}, ${before}`));
    if (!this.header.shared) {
      const stage = create('div', 'stage');
      stage.append(create('canvas'));
      card.append(stage);
    }
    card.append(rows, curve);
    card.parts = { rows, place };
    return card;
  }

  // The probability of the first answer at every strength, and what moves the line to a strength.
  curve(model, index) {
    const { strengths } = this.header;
    const label = `probability of ${model.labels[model.target]} at every strength, 0 to 100 %`;
    const across = strength => (strength / Math.max(1, strengths.length - 1)) * 100;
    const down = strength => 39 - 38 * this.chance(index, strength, model.target);
    const line = createSvg('line', { class: 'now', y1: 0, y2: 40 });
    const curve = createSvg('svg', {
      viewBox: '0 0 100 40',
      preserveAspectRatio: 'none',
      class: 'curve',
      role: 'img',
      'aria-label': label,
    });
    curve.append(
      createSvg('line', { class: 'base', x1: 0, x2: 100, y1: 39, y2: 39 }),
      createSvg('path', { d: strengths.map((_, i) => `${i ? 'L' : 'M'}${across(i)} ${down(i)}`).join('') }),
      line,
    );
    const place = strength => {
      for (const end of ['x1', 'x2']) line.setAttribute(end, String(across(strength)));
    };
    return { curve, place };
  }

  // Of an answer at a strength; -1 is the picture as it is.
  chance(index, strength, answer) {
    const answers = this.arrays[`${index}.answers`];
    return answers[(strength + 1) * answers.shape[1] + answer];
  }

  draw() {
    const { header, by } = this;
    const cards = [...this.find('models').children];
    this.far.value = by;
    this.find('shown').textContent = header.words[by];
    this.far.setAttribute('aria-valuetext', header.words[by]);
    if (header.shared) this.show(this.find('one').querySelector('.stage'), 0);
    cards.forEach((card, index) => {
      if (!header.shared) this.show(card.querySelector('.stage'), index);
      const { rows, place } = card.parts;
      const model = header.models[index];
      const chance = answer => this.chance(index, by, answer);
      const order = model.labels.map((_, answer) => answer);
      const best = order.sort((a, b) => chance(b) - chance(a)).slice(0, TOP);
      if (!best.includes(model.target)) best[TOP - 1] = model.target;
      rows.replaceChildren(
        ...best.map(answer => this.row(model.labels[answer], chance(answer), answer === model.target)),
      );
      card.dataset.probability = chance(model.target);
      place(by);
    });
  }

  row(label, chance, isTarget) {
    const row = create('div', isTarget ? 'row target' : 'row');
    const track = create('div', 'track');
    const fill = create('i');
    fill.style.width = `${chance * 100}%`;
    track.append(fill);
    row.append(create('span', '', label), create('span', '', percent(chance)), track);
    return row;
  }

  show(stage, index) {
    const [height, width] = this.header.size;
    const from = this.by * height * width;
    const pictures = this.arrays[`${index}.pictures`];
    paint(stage.querySelector('canvas'), height, width, cell => rgbPixel(pictures, from + cell));
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.dataset.drawn = String(this.by);
  }
}

export default mount(ResponseLab);
