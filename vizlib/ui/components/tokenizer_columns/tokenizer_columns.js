import { colourTable, diverging, rgbPixel, withAlpha } from '../_lib/colormaps.js';
import { ComponentWithView, mount } from '../_lib/component.js';
import { decode, rowOf, sameNumbers } from '../_lib/decoder.js';
import { create, createSvg, outline } from '../_lib/dom.js';
import { addingDigits, percent, signedNumber, thousands } from '../_lib/formatting.js';
import { clamp, extent, nonzeroSpan, outerProduct, paint, shareAt, takeArrow } from '../_lib/grid.js';
import { MapBar } from '../_lib/map_bar.js';

const UNCOVERED = 0x90000000; // what a token does not take in is dimmed
const NO_CLASS = 0x90808080;

// How few pixels hold half of the sum.
function halfOfSum(values) {
  const falling = values
    .filter(value => value > 0)
    .sort()
    .reverse();
  const total = falling.reduce((sum, value) => sum + value, 0);
  let sum = 0;
  let count = 0;
  while (sum < total / 2) sum += falling[count++];
  return count;
}

class TokenizerColumns extends ComponentWithView {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.figure = this.find('figure');
    this.stop = new AbortController();
    const on = (target, kind, act) => target.addEventListener(kind, act, { signal: this.stop.signal });
    for (const name of ['cover', 'readout'])
      for (const radio of this.radios(name)) on(radio, 'change', () => this.choose({ [name]: radio.value }));
    on(this.find('label'), 'change', event => this.choose({ label: event.target.value, readout: 'shares' }));
    on(this.figure, 'keydown', event => this.key(event));
    for (const term of root.querySelectorAll('.term')) {
      for (const kind of ['pointerenter', 'focus']) on(term, kind, () => this.light(term.dataset.term));
      for (const kind of ['pointerleave', 'blur']) on(term, kind, () => this.light(null));
    }
    this.term = null;
  }

  radios(name) {
    return this.root.querySelectorAll(`input[name=${name}]`);
  }

  load(header, arrays) {
    this.takeView(header.view);
    const payloads = Object.values(arrays);
    const isNew =
      payloads.length !== this.payloads?.length || payloads.some((part, i) => !sameNumbers(this.payloads[i], part));
    if (isNew) {
      this.payloads = payloads;
      this.models = payloads.map(decode);
      this.build();
    }
    if (isNew || !this.place) this.place = this.pinned();
    this.show();
  }

  build() {
    this.columns = [];
    for (const model of this.models) this.columns.push(this.column(model, this.columns[0]?.bar ?? null));
    this.find('columns').replaceChildren(...this.columns.map(column => column.box));
    this.colours = colourTable(this.models[0].arrays.colours);
    const pooled = this.models.filter(({ arrays }) => arrays.parts);
    const labels = [...new Set(pooled.flatMap(({ header }) => header.labels))].sort((a, b) => a.localeCompare(b));
    const own = new Option('each model’s own answer', '');
    this.find('label').replaceChildren(own, ...labels.map(label => new Option(label, label)));
  }

  column({ header, arrays }, leader) {
    const box = create('div', 'column');
    const coverFacts = create('div', 'facts');
    const readoutFacts = create('div', 'facts');
    const best = header.order.slice(0, 2);
    const answers = best.map(index => `${header.labels[index]} ${percent(arrays.probabilities[index])}`);
    const answer = header.untrained ? 'untrained: random weights, no answer' : `answers ${answers.join(', ')}`;
    const cover = this.stage('cover', header.size, arrays.photo);
    const readout = this.stage('readout', header.size, arrays.photo);
    box.append(create('div', 'name', header.title), create('div', 'answer', answer));
    const [coverScale, scale] = [create('div'), create('div')];
    const bar = new MapBar(scale, () => this.draw(), leader);
    const coverBar = new MapBar(coverScale, () => this.draw(), leader ?? bar);
    box.append(cover.stage, coverScale, coverFacts, readout.stage, scale, readoutFacts);
    return { box, cover, readout, coverFacts, readoutFacts, bar, coverBar };
  }

  stage(kind, [height, width], rgb) {
    const stage = create('div', `stage ${kind}`);
    const photo = create('canvas', 'photo');
    const field = create('canvas', 'field');
    const viewBox = `0 0 ${width} ${height}`;
    const marks = createSvg('svg', { class: 'marks', preserveAspectRatio: 'none', viewBox });
    stage.style.aspectRatio = `${width} / ${height}`;
    paint(photo, height, width, i => rgbPixel(rgb, i));
    stage.append(photo, field, marks);
    stage.addEventListener('pointermove', event => this.over(event, stage));
    stage.addEventListener('pointerleave', () => this.move(this.pinned()));
    stage.addEventListener('click', event => {
      this.over(event, stage);
      this.pin();
    });
    return { stage, field, marks };
  }

  // Places are shares of the picture, so that models with other grids can be compared.
  pinned() {
    const [y, x] = String(this.view.token || '')
      .split(',')
      .map(Number);
    return y >= 0 && y <= 1 && x >= 0 && x <= 1 ? { y, x } : { y: 0.45, x: 0.45 };
  }

  over(event, stage) {
    const [y, x] = shareAt(event, stage).map(share => clamp(share, 0, 0.9999));
    this.move({ y, x });
  }

  move(place) {
    this.place = place;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  pin() {
    this.view.token = `${this.place.y.toFixed(3)},${this.place.x.toFixed(3)}`;
    this.reportView();
  }

  choose(part) {
    Object.assign(this.view, part);
    this.show();
    this.reportView();
  }

  light(term) {
    this.term = term;
    this.figure.classList.toggle('flash', term === 'tokens');
    this.draw();
  }

  key(event) {
    if (['INPUT', 'SELECT'].includes(event.target.tagName)) return;
    if (event.key === 'Enter') this.pin();
    const step = takeArrow(event);
    if (!step) return;
    const model = this.models.at(-1);
    const { y, x } = this.cell(model);
    const [rows, columns] = model.header.grid;
    const middle = (index, count) => (clamp(index, 0, count - 1) + 0.5) / count;
    this.move({ y: middle(y + step[0], rows), x: middle(x + step[1], columns) });
  }

  show() {
    for (const name of ['cover', 'readout'])
      for (const radio of this.radios(name)) radio.checked = radio.value === this.view[name];
    this.find('label').value = this.view.label ?? '';
    this.find('label-box').style.display = this.view.readout === 'shares' ? '' : 'none';
    this.draw();
  }

  draw() {
    if (!this.place) return;
    this.models.forEach((model, index) => {
      this.drawCover(model, this.columns[index]);
      this.drawReadout(model, this.columns[index]);
    });
    const { cover, readout } = this.view;
    this.figure.dataset.drawn = `${this.place.y.toFixed(3)},${this.place.x.toFixed(3)} ${cover} ${readout}`;
  }

  cell({ header }) {
    const [rows, columns] = header.grid;
    const y = Math.floor(this.place.y * rows);
    const x = Math.floor(this.place.x * columns);
    return { y, x, index: y * columns + x };
  }

  // What the token takes in: path counts, or the routes of the maxima on this picture.
  drawCover(model, { cover, coverFacts, coverBar }) {
    const { header, arrays } = model;
    const [height, width] = header.size;
    const { y, x, index } = this.cell(model);
    const down = rowOf(arrays.down, y);
    const across = rowOf(arrays.across, x);
    const [top, bottom] = nonzeroSpan(down);
    const [left, right] = nonzeroSpan(across);
    const routed = this.view.cover === 'routes' && arrays.routes;
    const values = routed ? this.routes(model, index) : outerProduct(down, across);
    const area = (bottom - top) * (right - left);
    const sum = values.reduce((total, value) => total + value, 0);
    const shares = values.filter(value => value > 0).map(value => value / sum);
    const end = coverBar.end(shares, 1 / area);
    paint(cover.field, height, width, i => {
      const place = Math.min(255, Math.round((values[i] / sum / end) * 255));
      return values[i] > 0 ? withAlpha(this.colours[place], 150) : UNCOVERED;
    });
    coverBar.show(this.colours, shares, end, 'share of the token');
    cover.marks.innerHTML = outline([top, left, bottom, right]);
    const size = `${bottom - top} × ${right - left}`;
    if (routed) {
      const half = `half of the token comes from ${halfOfSum(values)} of the ${size} = ${area} pixels in reach`;
      coverFacts.textContent = `Along the maxima of this picture, ${half}.`;
      return;
    }
    const most = Math.max(...down) * Math.max(...across);
    const apart = bottom - top <= height / header.grid[0] && right - left <= width / header.grid[1];
    const once = `each once${apart ? ', and shares none with its neighbours' : ''}`;
    const paths = most > 1 ? `a pixel by up to ${thousands(most)} paths through windows of windows` : once;
    const share = percent(area / (height * width));
    const remark = this.view.cover === 'routes' ? ' It has no max-pool.' : '';
    coverFacts.textContent = `A token takes in ${size} pixels, ${share} of the picture, ${paths}.${remark}`;
  }

  routes({ header, arrays }, index) {
    const [height, width] = header.size;
    const [, rows, columns] = arrays.routes.shape;
    const levels = rowOf(arrays.routes, index);
    const [top, left] = rowOf(arrays.corners, index);
    const values = new Float32Array(height * width);
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++) values[(top + y) * width + left + x] = levels[y * columns + x];
    return values;
  }

  drawReadout(model, { readout, readoutFacts, bar }) {
    const { header, arrays } = model;
    const [rows, columns] = header.grid;
    const [height, width] = header.size;
    const { index, y, x } = this.cell(model);
    const what = this.term === 'weights' || this.term === 'shares' ? this.term : this.view.readout;
    const logits = what === 'shares' && arrays.parts;
    bar.root.style.display = logits ? 'none' : '';
    const { colour, text } = logits ? this.logitShares(model, index) : this.readoutWeights(model, index, what, bar);
    paint(readout.field, rows, columns, colour);
    const down = row => (row / rows) * height;
    const across = column => (column / columns) * width;
    readout.marks.innerHTML = outline([down(y), across(x), down(y + 1), across(x + 1)]);
    readoutFacts.textContent = text;
  }

  // What each token adds to a logit, in sequence pooling.
  logitShares({ header, arrays }, index) {
    const answer = this.view.label ? header.labels.indexOf(this.view.label) : header.order[0];
    if (answer < 0) return { colour: () => NO_CLASS, text: `It has no class ${this.view.label}.` };
    const shares = rowOf(arrays.parts, answer);
    const most = shares.reduce((peak, share) => Math.max(peak, Math.abs(share)), 1e-12);
    const colour = i => withAlpha(diverging(shares[i] / most), 60 + Math.round((150 * Math.abs(shares[i])) / most));
    const sum = shares.reduce((before, share) => before + share, 0);
    const digits = addingDigits(arrays.logits[answer], [sum, arrays.bias[answer]]);
    const [total, bias, logit] = [sum, arrays.bias[answer], arrays.logits[answer]].map(value =>
      signedNumber(value, digits),
    );
    const token = `This token adds ${signedNumber(shares[index])} to “${header.labels[answer]}”.`;
    const all = `All ${shares.length} add ${total}, the bias ${bias}: the logit is ${logit}, exactly.`;
    return { colour, text: `${token} ${all} Red for, blue against.` };
  }

  // How much each token counts in the read-out.
  readoutWeights({ header, arrays }, index, what, bar) {
    const { weights } = arrays;
    const top = Math.max(0, extent(weights)[1]);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const entropy = -weights.reduce((sum, w) => (w > 0 ? sum + (w / total) * Math.log(w / total) : sum), 0);
    const end = bar.end(weights, (total + header.own) / weights.length);
    const colour = i => withAlpha(this.colours[Math.round(Math.min(1, weights[i] / end) * 255)], 165);
    bar.show(this.colours, weights, end, 'weight in the read-out');
    const [own, brightest] = [percent(weights[index]), percent(top)];
    if (arrays.parts) {
      const even = `an even mean over ${Math.exp(entropy).toFixed(0)} of the ${weights.length} tokens`;
      const pool = `Its weights are spread as widely as ${even}.`;
      return {
        colour,
        text: `Sequence pooling reads this token with ${own}; the brightest gets ${brightest}. ${pool}`,
      };
    }
    const shares = `this token ${own}, the brightest ${brightest}, itself ${percent(header.own)}`;
    const given = `The class token’s last attention gives ${shares}.`;
    if (what !== 'shares') return { colour, text: given };
    return { colour, text: `A class token mixes in every block, so no token has an exact share of a logit. ${given}` };
  }

  destroy() {
    this.stop.abort();
    cancelAnimationFrame(this.frame);
  }
}

export default mount(TokenizerColumns);
