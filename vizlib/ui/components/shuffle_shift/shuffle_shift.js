import { Component, mount } from '../_lib/component.js';
import { choices, create, createSvg } from '../_lib/dom.js';
import { decimal, percent } from '../_lib/formatting.js';

const READING =
  'The bar is the distance between the answers before and after, half the sum of |p′ − p| over all classes: ' +
  '0 the same answer, 100 % no class in common. ' +
  'The cosine compares each token of the last stage with the token of the same pixels after the move.';

class ShuffleShift extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
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
    this.kind ??= String(header.opens);
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
    this.replacePhotograph(arrays.photo);
    this.image = new Image();
    this.image.onload = () => this.draw();
    this.image.src = this.url;
    this.stage.style.aspectRatio = `${header.size[1]} / ${header.size[0]}`;
  }

  draw() {
    const { header, kind } = this;
    const shifts = kind === 'shift';
    this.find('by').style.display = shifts ? '' : 'none';
    this.far.value = this.by;
    this.find('far-shown').textContent = `${(header.shifts[this.by] * 100).toFixed(1)} % of the width`;
    this.drawPicture(shifts);
    this.find('how').textContent = shifts
      ? 'moved to the right; what leaves comes in on the left'
      : `one of ${header.seeds} orders; the numbers are their mean`;
    this.stage.dataset.drawn = `${kind} ${this.by}`;
    const which = header.tiles.indexOf(Number(kind));
    const change = model => (shifts ? model.shifted[this.by] : model.shuffled[which]);
    this.find('bars').replaceChildren(...header.models.map(model => this.bar(model, change(model), shifts)));
    this.find('reading').textContent = READING;
  }

  drawPicture(shifts) {
    const { header, kind, image } = this;
    const width = (this.canvas.width = image.naturalWidth);
    const height = (this.canvas.height = image.naturalHeight);
    const pen = this.canvas.getContext('2d');
    if (shifts) {
      const right = Math.round(header.shifts[this.by] * width);
      pen.drawImage(image, right, 0);
      pen.drawImage(image, right - width, 0);
      return;
    }
    const tiles = Number(kind);
    const [w, h] = [width / tiles, height / tiles];
    const corner = tile => [(tile % tiles) * w, Math.floor(tile / tiles) * h];
    this.arrays[`order.${kind}`].forEach((from, to) => {
      pen.drawImage(image, ...corner(from), w, h, ...corner(to), w, h);
    });
  }

  bar(model, change, shifts) {
    const box = create('div', 'model');
    const facts = create('div', 'facts');
    const track = create('div', 'track');
    const fill = create('i');
    const name = create('span');
    const same = change.same === 1 ? 'yes' : change.same === 0 ? 'no' : `${percent(change.same)} of orders`;
    const distance = change.distance < 1e-6 ? '0.0 %' : percent(change.distance);
    const cut = 'the move cuts through its tokens';
    name.append(create('b', '', model.title));
    facts.append(
      name,
      create('span', '', `answer moved ${distance}`),
      create('span', '', `same first answer: ${same}`),
      create('span', '', change.tokens === null ? cut : `tokens’ cosine ${decimal(change.tokens, 3)}`),
    );
    fill.style.width = `${change.distance * 100}%`;
    track.append(fill);
    box.append(facts, track);
    box.dataset.distance = change.distance;
    if (shifts) box.append(this.curve(model.shifted));
    return box;
  }

  // The distance at every shift, and a line at the one that is shown.
  curve(points) {
    const across = i => (i / (points.length - 1)) * 100;
    const d = points.map((point, i) => `${i ? 'L' : 'M'}${across(i)} ${40 - 38 * point.distance}`).join('');
    const curve = createSvg('svg', { viewBox: '0 0 100 40', preserveAspectRatio: 'none', class: 'curve' });
    const here = across(this.by);
    curve.append(createSvg('path', { d }), createSvg('line', { x1: here, x2: here, y1: 0, y2: 40 }));
    return curve;
  }
}

export default mount(ShuffleShift);
