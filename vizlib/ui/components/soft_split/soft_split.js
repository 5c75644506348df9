import { colourTable, diverging, hexPixel, OKABE_ITO, pixel, rgbPixel, withAlpha } from '../_lib/colormaps.js';
import { ComponentWithView, mount } from '../_lib/component.js';
import { decode, rowOf, sameNumbers } from '../_lib/decoder.js';
import { create, createSvg, outline, rectangle } from '../_lib/dom.js';
import { decimal, percent, scaleEnd, significant, thousands } from '../_lib/formatting.js';
import { cellAt, clamp, extent, nonzeroSpan, outerProduct, paint, paintRamp, ramp, takeArrow } from '../_lib/grid.js';
import { shareAbove, upperEnd } from '../_lib/map_scale.js';

const { blue, orange, green, purple, sky, vermilion, yellow } = OKABE_ITO;
const GROUPS = [blue, orange, green, purple, sky, vermilion, yellow, '#787878'].map(hexPixel);
const UNCOVERED = 0x90000000; // what the windows leave out is dimmed
const COVER = 150; // alpha of what they take in

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

// The products of each row of an array with one vector.
function dotProducts(array, vector) {
  const [count, width] = array.shape;
  return Float32Array.from({ length: count }, (_, i) => {
    let product = 0;
    for (let c = 0, at = i * width; c < width; c++) product += array[at + c] * vector[c];
    return product;
  });
}

// A vector as a row of colours, from its strongest number below zero to its strongest above.
function paintStrip(canvas, values) {
  const most = values.reduce((peak, value) => Math.max(peak, Math.abs(value)), 1e-12);
  paint(canvas, 1, values.length, i => diverging(values[i] / most));
}

class SoftSplit extends ComponentWithView {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.figure = this.find('figure');
    this.sets = this.find('sets');
    this.field = this.find('field');
    this.photo = this.find('photo');
    this.stop = new AbortController();
    const on = (target, kind, act) => target.addEventListener(kind, act, { signal: this.stop.signal });
    for (const radio of root.querySelectorAll('input[name=follow]'))
      on(radio, 'change', () => this.choose({ follow: radio.value }));
    on(this.find('draw'), 'change', event => this.choose({ draw: event.target.value }));
    on(this.find('basis'), 'change', event => this.choose({ basis: event.target.checked ? 'shared' : 'own' }));
    on(this.find('groups'), 'input', event => this.choose({ groups: this.header.groups[event.target.value] }));
    on(this.find('highest'), 'change', () => this.drawField());
    on(this.find('play'), 'click', () => this.play());
    on(this.figure, 'keydown', event => this.key(event));
    on(this.find('photo-stage'), 'pointermove', event => this.overPhoto(event));
    on(this.find('photo-stage'), 'pointerleave', () => this.back());
    on(this.find('photo-stage'), 'click', event => {
      this.overPhoto(event);
      this.pin();
    });
    on(this.find('formula'), 'pointerover', event => this.light(event.target.dataset?.term));
    on(this.find('formula'), 'pointerout', () => this.light(null));
    on(this.find('formula'), 'focusin', event => this.light(event.target.dataset?.term));
    on(this.find('formula'), 'focusout', () => this.light(null));
    this.term = null;
  }

  load(header, { payload }) {
    this.takeView(header.view);
    const isNew = !sameNumbers(this.payload, payload);
    if (isNew) {
      this.payload = payload;
      this.stopPlaying();
      ({ header: this.header, arrays: this.arrays } = decode(payload));
      this.rounds = this.header.rounds;
      this.build();
    }
    if (isNew || !this.at) this.at = this.pinned();
    this.show();
  }

  // The panels: one for each set of tokens, the hard patches last.
  build() {
    const { header, arrays } = this;
    const [height, width] = header.size;
    this.photo.width = this.field.width = width;
    this.photo.height = this.field.height = height;
    this.find('photo-stage').style.aspectRatio = `${width} / ${height}`;
    this.pixels = Uint32Array.from({ length: height * width }, (_, i) => rgbPixel(arrays.photo, i));
    paint(this.photo, height, width, i => this.pixels[i]);
    this.colours = colourTable(arrays.colours);
    paintRamp(this.find('ramp'), this.colours);
    this.find('groups').max = header.groups.length - 1;
    this.panels = header.sets.map((set, index) => this.panel(set, index));
    this.sets.replaceChildren(...this.panels.map(panel => panel.box));
    this.find('photo-stage').querySelector('svg').setAttribute('viewBox', `0 0 ${width} ${height}`);
  }

  panel(set, index) {
    const [height, width] = this.header.size;
    const box = create('div', 'set');
    const stage = create('div', 'stage');
    const canvas = create('canvas');
    const viewBox = `0 0 ${set.grid[1]} ${set.grid[0]}`;
    const marks = createSvg('svg', { class: 'marks', preserveAspectRatio: 'none', viewBox });
    const facts = create('div', 'facts');
    [canvas.height, canvas.width] = set.grid;
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.append(canvas, marks);
    box.append(create('div', 'name', set.title), stage, facts);
    stage.addEventListener('pointermove', event => this.overSet(event, index));
    stage.addEventListener('pointerleave', () => this.back());
    stage.addEventListener('click', event => {
      this.overSet(event, index);
      this.pin();
    });
    return { box, stage, canvas, marks, facts };
  }

  // The token that the address names: round, row, column; the middle of the last round where it names none.
  pinned() {
    const parts = String(this.view.token || '')
      .split('.')
      .map(Number);
    const set = parts[0] - 1;
    const grid = this.header.sets[set]?.grid;
    if (grid && parts[1] < grid[0] && parts[2] < grid[1]) return { set, y: parts[1], x: parts[2] };
    const last = this.rounds - 1;
    const [h, w] = this.header.sets[last].grid;
    return { set: last, y: h >> 1, x: (w >> 1) - 1 };
  }

  choose(part) {
    Object.assign(this.view, part);
    this.show();
    this.reportView();
  }
  pin() {
    this.view.token = `${this.at.set + 1}.${this.at.y}.${this.at.x}`;
    this.stopPlaying();
    this.reportView();
  }
  back() {
    if (!this.playing) this.move(this.pinned());
  }

  overSet(event, set) {
    this.pointAt(event, this.panels[set].stage, set);
  }
  overPhoto(event) {
    this.pointAt(event, this.find('photo-stage'), this.at.set);
  }
  pointAt(event, stage, set) {
    this.stopPlaying();
    const [y, x] = cellAt(event, stage, this.header.sets[set].grid);
    this.move({ set, y, x });
  }

  move(at) {
    if (this.at && at.set === this.at.set && at.y === this.at.y && at.x === this.at.x) return;
    this.at = at;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  key(event) {
    if (['INPUT', 'SELECT', 'BUTTON'].includes(event.target.tagName)) return;
    if (event.key === 'Enter') {
      this.pin();
      return;
    }
    const { sets } = this.header;
    const step = takeArrow(event);
    const round = { PageUp: 1, PageDown: -1 }[event.key];
    if (step) {
      const [height, width] = sets[this.at.set].grid;
      this.stopPlaying();
      this.move({
        set: this.at.set,
        y: clamp(this.at.y + step[0], 0, height - 1),
        x: clamp(this.at.x + step[1], 0, width - 1),
      });
    } else if (round) {
      event.preventDefault();
      event.stopPropagation();
      this.stopPlaying();
      const set = clamp(this.at.set + round, 0, sets.length - 1);
      this.move({ set, ...this.samePlace(this.at, set) });
    }
  }

  // The cell of another set at the same place of the picture.
  samePlace(at, set) {
    const from = this.header.sets[at.set].grid;
    const to = this.header.sets[set].grid;
    return { y: Math.floor(((at.y + 0.5) / from[0]) * to[0]), x: Math.floor(((at.x + 0.5) / from[1]) * to[1]) };
  }

  play() {
    if (this.playing) {
      this.stopPlaying();
      return;
    }
    const set = Math.min(this.at.set, this.rounds - 1);
    const [h, w] = this.header.sets[set].grid;
    let index = 0;
    const step = () => {
      this.move({ set, y: Math.floor(index / w), x: index % w });
      index = (index + 1) % (h * w);
    };
    this.playing = setInterval(step, w > 20 ? 60 : 160);
    step();
    this.find('play').setAttribute('aria-pressed', 'true');
    this.find('play').textContent = '■ Stop';
  }
  stopPlaying() {
    if (!this.playing) return;
    clearInterval(this.playing);
    this.playing = 0;
    this.find('play').setAttribute('aria-pressed', 'false');
    this.find('play').textContent = '▶ Play';
  }

  show() {
    const { view, header } = this;
    for (const radio of this.root.querySelectorAll('input[name=follow]')) radio.checked = radio.value === view.follow;
    this.find('draw').value = view.draw;
    this.find('basis').checked = view.basis === 'shared';
    this.find('groups').value = header.groups.indexOf(Number(view.groups));
    this.find('count').textContent = view.groups;
    this.find('basis-box').style.display = view.draw === 'colours' ? '' : 'none';
    this.find('groups-box').style.display = view.draw === 'groups' ? '' : 'none';
    this.draw();
  }

  light(term) {
    this.term = term ?? null;
    for (const part of this.find('formula').querySelectorAll('.term'))
      part.classList.toggle('on', part.dataset.term === term);
    this.drawField();
    this.drawMarks();
  }

  draw() {
    if (!this.at) return;
    this.drawMaps();
    this.drawField();
    this.drawFormula();
    this.drawMarks();
    this.drawMaking();
    this.figure.dataset.drawn = `${this.at.set}.${this.at.y}.${this.at.x} ${this.view.draw} ${this.view.follow}`;
  }

  // ---- the maps of the tokens

  drawMaps() {
    const { draw, basis, groups } = this.view;
    const drawn = `${draw} ${basis} ${groups}`;
    this.header.sets.forEach((set, index) => {
      const panel = this.panels[index];
      if (drawn === panel.drawn && draw !== 'likeness') return;
      panel.drawn = drawn;
      const [height, width] = set.grid;
      const { colour, facts } = this.tokenMap(set, index);
      paint(panel.canvas, height, width, colour);
      panel.facts.textContent = `${height} × ${width} tokens of ${set.channels} numbers; ${facts}`;
    });
  }

  // What paints the tokens of a set, and what there is to say of it.
  tokenMap(set, index) {
    if (this.view.draw === 'colours') return this.colourMap(set, index);
    if (this.view.draw === 'length') return this.lengthMap(index);
    return this.view.draw === 'groups' ? this.groupMap(set, index) : this.likenessMap(set, index);
  }

  colourMap(set, index) {
    const shared = this.view.basis === 'shared';
    const rgb = this.arrays[`${shared ? 'shared' : 'own'}${index}`];
    const alone = 'colours of this map alone, not to be compared with others';
    const facts = shared && set.together !== 'alone' ? `the same colours for rounds ${set.together}` : alone;
    return { colour: i => rgbPixel(rgb, i), facts };
  }

  lengthMap(index) {
    const lengths = this.arrays[`norms${index}`];
    const [low, high] = extent(lengths);
    const facts = `dark ${significant(low, 3)}, bright ${significant(high, 3)}`;
    return { colour: ramp(lengths, this.colours, low, high), facts };
  }

  groupMap(set, index) {
    const tokens = set.grid[0] * set.grid[1];
    const chosen = this.header.groups.indexOf(Number(this.view.groups));
    const labels = this.arrays[`groups${index}`].subarray(chosen * tokens, (chosen + 1) * tokens);
    const largest = labels.filter(label => label === 0).length / tokens;
    return { colour: i => GROUPS[labels[i]], facts: `largest ${percent(largest)} of its tokens` };
  }

  likenessMap(set, index) {
    const { y, x } = index === this.at.set ? this.at : this.samePlace(this.at, index);
    const cosines = this.cosines(index, y * set.grid[1] + x);
    const mean = sum(cosines) / cosines.length;
    return { colour: i => diverging(cosines[i]), facts: `red alike, blue opposite; mean cosine ${decimal(mean)}` };
  }

  cosines(index, token) {
    const tokens = this.arrays[`tokens${index}`];
    const norms = this.arrays[`norms${index}`];
    const products = dotProducts(tokens, rowOf(tokens, token));
    return products.map((product, i) => (norms[i] * norms[token] > 0 ? product / (norms[i] * norms[token]) : 0));
  }

  // ---- the pixels that a token is made of

  followsAttention() {
    return (this.view.follow === 'attention' || this.term === 'attention') && this.at.set < this.rounds;
  }

  // One row of the first round's lineage: half the token itself, half what it attends to, the performer's features or a
  // softmax.
  firstRoundLineage(token) {
    const { scale, kind } = this.header;
    const scores = dotProducts(this.arrays.k, rowOf(this.arrays.q, token)).map(product => product * scale);
    const top = extent(scores)[1];
    const weights = kind === 'softmax' ? scores.map(score => Math.exp(score - top)) : scores;
    const total = sum(weights);
    const lineage = weights.map(weight => (weight * 0.5) / total);
    lineage[token] += 0.5;
    return lineage;
  }

  // Shares of the windows of the first split, for the token pointed at.
  lineage() {
    const { set, y, x } = this.at;
    const token = y * this.header.sets[set].grid[1] + x;
    if (set === 0) return this.rounds > 1 ? this.firstRoundLineage(token) : null;
    const step = this.arrays[`peaks${set}`][token] / 65535;
    return Float32Array.from(rowOf(this.arrays[`lineage${set}`], token), level => level * step);
  }

  // How often each row and each column of pixels is in the windows of a token.
  windowsOf(set, y, x) {
    return [rowOf(this.arrays[`down${set}`], y), rowOf(this.arrays[`across${set}`], x)];
  }

  // Path counts along windows for each pixel.
  pathCounts() {
    const [down, across] = this.windowsOf(this.at.set, this.at.y, this.at.x);
    return outerProduct(down, across);
  }

  // Shares of the lineage for each pixel, and what part of it lies outside the token's windows.
  lineageShares() {
    const [height, width] = this.header.size;
    const [rows, columns] = this.header.sets[0].grid;
    const cells = this.lineage();
    // Each cell spreads evenly over its window, first across, then down.
    const spread = (windows, index) => {
      const line = rowOf(windows, index);
      return [...nonzeroSpan(line), sum(line) || 1];
    };
    const across = Array.from({ length: columns }, (_, x) => spread(this.arrays.step_across0, x));
    const down = Array.from({ length: rows }, (_, y) => spread(this.arrays.step_down0, y));
    const wide = new Float32Array(rows * width);
    for (let y = 0; y < rows; y++)
      across.forEach(([first, end, total], x) => {
        const share = cells[y * columns + x] / total;
        for (let i = first; i < end; i++) wide[y * width + i] += share;
      });
    const shares = new Float32Array(height * width);
    down.forEach(([first, end, total], y) => {
      for (let row = first; row < end; row++)
        for (let x = 0; x < width; x++) shares[row * width + x] += wide[y * width + x] / total;
    });
    const [insideDown, insideAcross] = this.windowsOf(this.at.set, this.at.y, this.at.x);
    let outside = 0;
    shares.forEach((share, i) => {
      if (!insideDown[Math.floor(i / width)] || !insideAcross[i % width]) outside += share;
    });
    return { shares, outside: outside / sum(shares) };
  }

  drawField() {
    if (!this.at) return;
    const [height, width] = this.header.size;
    const attends = this.followsAttention();
    const overlap = this.term === 'overlap' && !attends;
    const { shares, outside } = attends ? this.lineageShares() : { shares: null, outside: 0 };
    const values = shares ?? (overlap ? this.overlap() : this.pathCounts());
    const highest = Math.max(0, extent(values)[1]);
    // Counts of paths end at the largest; a lineage is a map like any other, on the pixels that it reaches.
    const reached = attends ? values.filter(value => value > 0) : values;
    const rule = attends && !this.find('highest').checked;
    const peak = rule ? upperEnd(reached, sum(values) / values.length) : highest;
    paint(this.field, height, width, i => {
      const share = Math.min(1, values[i] / peak);
      const place = Math.round((attends ? Math.sqrt(share) : share) * 255);
      return values[i] > 0 ? withAlpha(this.colours[place], COVER) : UNCOVERED;
    });
    this.outside = outside;
    this.find('low').textContent = '0';
    const above = rule ? shareAbove(reached, peak) : 0;
    this.find('high').textContent = scaleEnd(attends ? percent(peak) : `${peak}`, above > 0);
    this.find('highest-box').style.display = attends ? '' : 'none';
    const counted = overlap ? 'windows of this round that take a pixel in' : 'paths from the pixel to the token';
    const beyond = above > 0 ? `; ${percent(above)} of its pixels are above` : '';
    const seen = 'colours by the square root, so that small shares are seen';
    const lineage = `share of the token that comes from each pixel, all steps followed back (${seen})${beyond}`;
    this.find('unit').textContent = attends ? lineage : counted;
  }

  // How many paths leave each pixel, to all tokens of the round together.
  overlap() {
    const perPixel = windows => {
      const [count, length] = windows.shape;
      const total = new Float32Array(length);
      for (let i = 0; i < count * length; i++) total[i % length] += windows[i];
      return total;
    };
    return outerProduct(perPixel(this.arrays[`down${this.at.set}`]), perPixel(this.arrays[`across${this.at.set}`]));
  }

  // The pixels [top, left, bottom, right] that the windows of a token reach.
  box(set, y, x) {
    const [[top, bottom], [left, right]] = this.windowsOf(set, y, x).map(nonzeroSpan);
    return [top, left, bottom, right];
  }

  // The cells one round down that make a box of cells.
  parents(set, box) {
    const [top, left, bottom, right] = box;
    const down = index => nonzeroSpan(rowOf(this.arrays[`step_down${set}`], index));
    const across = index => nonzeroSpan(rowOf(this.arrays[`step_across${set}`], index));
    return [down(top)[0], across(left)[0], down(bottom - 1)[1], across(right - 1)[1]];
  }

  drawMarks() {
    if (!this.at) return;
    const { set, y, x } = this.at;
    const stage = this.find('photo-stage');
    const around = this.term === 'overlap' || this.term === 'stride' ? this.neighbours(set, y, x) : [];
    stage.querySelector('svg').innerHTML =
      around.map(box => rectangle(box, 'other')).join('') + outline(this.box(set, y, x));
    const boxes = new Map([[set, [y, x, y + 1, x + 1]]]);
    if (set < this.rounds)
      for (let round = set; round > 0; round--) boxes.set(round - 1, this.parents(round, boxes.get(round)));
    this.panels.forEach(({ box, marks }, index) => {
      const isSource = this.term === 'window' && index === set - 1 && set < this.rounds;
      box.classList.toggle('on', index === set);
      box.classList.toggle('flash', (this.term === 'token' && index === set) || isSource);
      marks.innerHTML = '';
      if (boxes.has(index)) marks.innerHTML = outline(boxes.get(index));
      else if (this.view.draw === 'likeness') {
        const place = this.samePlace(this.at, index);
        marks.innerHTML = rectangle([place.y, place.x, place.y + 1, place.x + 1], 'other');
      }
    });
    stage.classList.toggle('flash', this.term === 'window' && (set === 0 || set >= this.rounds));
  }

  // The boxes of the tokens above, below, left and right.
  neighbours(set, y, x) {
    const [height, width] = this.header.sets[set].grid;
    const cells = [
      [y - 1, x],
      [y + 1, x],
      [y, x - 1],
      [y, x + 1],
    ];
    return cells
      .filter(([row, column]) => row >= 0 && row < height && column >= 0 && column < width)
      .map(([row, column]) => this.box(set, row, column));
  }

  // ---- the formula, the pieces and the words

  drawFormula() {
    const { set, y, x } = this.at;
    const { sets, kind } = this.header;
    const [size, stride] = sets[set].window;
    const isHard = set >= this.rounds;
    const isLast = set === this.rounds - 1;
    const ofPixels = isHard || set === 0;
    const term = (name, text) => `<span class="term" tabindex="0" data-term="${name}">${text}</span>`;
    const source = ofPixels ? 'pixels' : `T<sub>${set}</sub>`;
    const unfolded = term('window', `unfold<sub>${size}×${size}</sub>(${source})`);
    const attention = term('attention', kind === 'performer' ? 'performer attention' : 'attention');
    const name = term('token', isHard ? `patch[${y + 1}, ${x + 1}]` : `T<sub>${set + 1}</sub>[${y + 1}, ${x + 1}]`);
    const body = isHard || isLast ? `projection( ${unfolded} )` : `${unfolded} + ${attention}`;
    const inputs = ofPixels ? 3 : sets[set - 1].channels;
    const numbers = thousands(size * size * inputs);
    const widths = `${size} × ${size} × ${inputs} = ${numbers} numbers become ${sets[set].channels}`;
    const shared = size > stride ? `${size - stride} of ${size} rows` : 'nothing';
    const where = `${widths}; neighbours share ${shared}. Point at a part of the formula to light it up.`;
    const html = `${name} = ${body}, ${term('overlap', `stride ${stride}`)}<span class="where">${where}</span>`;
    if (html !== this.formula) {
      this.find('formula').innerHTML = html;
      this.formula = html;
    }
    this.showReading(isHard, isLast);
  }

  showReading(isHard, isLast) {
    const { set, y, x } = this.at;
    const [top, left, bottom, right] = this.box(set, y, x);
    const { sets, size, kind } = this.header;
    const share = percent(((bottom - top) * (right - left)) / (size[0] * size[1]));
    const [down, across] = this.windowsOf(set, y, x);
    const most = Math.max(...down) * Math.max(...across);
    const title = isHard ? sets[set].title : `Round ${set + 1}`;
    const covered = `its windows cover ${bottom - top} × ${right - left} pixels, ${share} of the picture`;
    const counted = most > 1 ? `, and count a pixel up to ${thousands(most)} times.` : ', each once.';
    const parts = [`${title}, row ${y + 1}, column ${x + 1}: ${covered}${counted}`];
    if (this.followsAttention())
      parts.push(`With attention at half weight, ${percent(this.outside)} of it comes from outside them.`);
    else if (!isHard && (set > 0 || !isLast))
      parts.push(`The ${kind === 'performer' ? 'performers' : 'token transformers'} reach further: follow them too.`);
    this.find('reading').textContent = parts.join(' ');
  }

  // The token's window, what it is unfolded to, and the token.
  drawMaking() {
    const { set, y, x } = this.at;
    const { arrays, header } = this;
    const [size] = header.sets[set].window;
    const ofPixels = set >= this.rounds || set === 0;
    const { patch, unfolded } = this.window(ofPixels);
    paint(this.find('patch'), size, size, i => patch[i]);
    const kind = ofPixels ? 'pixels' : `tokens of round ${set}`;
    this.find('patch-name').textContent = `${size} × ${size} ${kind}`;
    paintStrip(this.find('unfolded'), unfolded);
    const numbers = thousands(unfolded.length);
    this.find('unfolded-name').textContent = `unfolded: ${numbers} numbers${ofPixels ? ' (colours)' : ''}`;
    paintStrip(this.find('token'), rowOf(arrays[`tokens${set}`], y * header.sets[set].grid[1] + x));
    this.find('token-name').textContent = `the token: ${header.sets[set].channels} numbers`;
  }

  // The window of the token pointed at as pixels, and all its numbers, channel after channel.
  window(ofPixels) {
    const { set, y, x } = this.at;
    const { arrays, header } = this;
    const [size, stride, padding] = header.sets[set].window;
    const [height, width] = ofPixels ? header.size : header.sets[set - 1].grid;
    const channels = ofPixels ? 3 : header.sets[set - 1].channels;
    const rgb = ofPixels ? null : arrays[`${this.view.basis === 'shared' ? 'shared' : 'own'}${set - 1}`];
    const tokens = ofPixels ? null : arrays[`tokens${set - 1}`];
    const patch = new Uint32Array(size * size);
    const unfolded = new Float32Array(size * size * channels);
    for (let i = 0; i < size * size; i++) {
      const [row, column] = [Math.floor(i / size), i % size];
      const [down, across] = [y * stride - padding + row, x * stride - padding + column];
      if (down < 0 || across < 0 || down >= height || across >= width) {
        patch[i] = pixel(128, 128, 128, (row + column) % 2 ? 64 : 32);
        continue;
      }
      const at = down * width + across;
      patch[i] = ofPixels ? this.pixels[at] : rgbPixel(rgb, at);
      for (let channel = 0; channel < channels; channel++)
        unfolded[channel * size * size + i] = ofPixels
          ? ((this.pixels[at] >> (8 * channel)) & 255) / 127.5 - 1
          : tokens[at * channels + channel];
    }
    return { patch, unfolded };
  }

  destroy() {
    this.stop.abort();
    this.stopPlaying();
    cancelAnimationFrame(this.frame);
  }
}

export default mount(SoftSplit);
