import { OKABE_ITO } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { choices, create, createSvg, formula } from '../_lib/dom.js';
import { large } from '../_lib/formatting.js';
import { clamp, extent, shareAt } from '../_lib/grid.js';

const POOL = 7;
const RATIOS = [1, 2, 4, 8, 16];
const LEAST = 224;
const MOST = 2048;
const SIDES = Array.from({ length: 58 }, (_, i) => LEAST + 32 * i);
const OCTAVES = Math.log2(MOST / LEAST);
// Of the drawing, in its own units: fewer where it is narrow, or its words would be too small to read.
const WIDTHS = { wide: 760, narrow: 400 };
const NARROW = 480; // pixels
const TALL = 330;
const KINDS = {
  'full written': {
    kind: 'full',
    fused: false,
    word: 'full attention, matrix written out',
    colour: OKABE_ITO.vermilion,
    dash: '',
  },
  'full fused': { kind: 'full', fused: true, word: 'full attention, fused', colour: OKABE_ITO.orange, dash: '6 4' },
  'sra fused': { kind: 'sra', fused: true, word: 'SRA', colour: OKABE_ITO.blue, dash: '' },
  'linear fused': { kind: 'linear', fused: true, word: 'linear SRA', colour: OKABE_ITO.green, dash: '' },
};
const BOX = { left: 62, top: 14, bottom: 286 };
const QUANTITIES = { adds: ['Multiply-adds', ''], memory: ['Memory', 'B'], time: ['Time measured here', 's'] };

// These mirror vizlib/analysis/cost/spatial_reduction.py.
function keyCount(kind, side, ratio) {
  if (kind === 'full') return side * side;
  return kind === 'sra' ? Math.floor(side / ratio) ** 2 : POOL * POOL;
}

function multiplyAdds(kind, { width, stride }, ratio, pixels) {
  const side = Math.floor(pixels / stride);
  const queries = side * side;
  const keys = keyCount(kind, side, ratio);
  const convolved = kind === 'linear' || (kind === 'sra' && ratio > 1);
  const kernel = kind === 'sra' ? ratio * ratio : 1;
  const projections = 2 * (queries + keys) * width * width;
  return projections + (convolved ? kernel * keys * width * width : 0) + 2 * queries * keys * width;
}

function peakBytes(kind, fused, { width, heads, stride }, ratio, pixels) {
  const side = Math.floor(pixels / stride);
  const queries = side * side;
  const keys = keyCount(kind, side, ratio);
  const inputs = (queries + 2 * keys) * width; // q, k and v
  const tokens = queries * width;
  const matrix = heads * queries * keys;
  const moments = [tokens * (fused || heads === 1 ? 2 : 3), inputs + tokens];
  if (!fused) moments.push(inputs + tokens + matrix, inputs + 2 * matrix);
  return 4 * Math.max(...moments);
}

class AttentionCost extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.svg = root.querySelector('svg');
    this.ratio = this.find('ratio');
    this.ratio.addEventListener('input', () => {
      this.reduction = RATIOS[this.ratio.value];
      this.draw();
    });
    this.svg.addEventListener('pointermove', event => this.over(event));
    this.svg.addEventListener('pointerleave', () => this.read(null));
    this.fit();
    this.watch = new ResizeObserver(() => {
      if (this.fit() && this.layer) this.draw();
    });
    this.watch.observe(this.svg);
  }

  // Whether the width of the drawing is another one now.
  fit() {
    const width = this.svg.clientWidth > 0 && this.svg.clientWidth < NARROW ? WIDTHS.narrow : WIDTHS.wide;
    const other = width !== this.width;
    this.width = width;
    this.right = width - 15;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${TALL}`);
    return other;
  }

  load(header) {
    const fresh = !this.header;
    const other = fresh || JSON.stringify(header.layers) !== JSON.stringify(this.header.layers);
    this.header = header;
    if (other) this.stage = 0;
    const quantities = Object.entries(QUANTITIES)
      .filter(([name]) => name !== 'time' || header.measured.length)
      .map(([name, [text]]) => [name, text]);
    const wasTimed = this.timed;
    this.timed = header.measured.length > 0;
    if (fresh) this.quantity = 'adds';
    if (this.timed && !wasTimed) this.quantity = 'time';
    if (!this.timed && this.quantity === 'time') this.quantity = 'adds';
    choices(this.find('quantity'), quantities, this.quantity, 'Quantity', name => {
      this.quantity = name;
      this.draw();
    });
    this.mark = choices(
      this.find('stages'),
      header.layers.map((_, i) => [i, `Stage ${i + 1}`]),
      this.stage,
      'Stage',
      i => this.open(Number(i)),
    );
    this.layer = header.layers[this.stage];
    if (other) this.reduction = this.layer.reduction;
    this.draw();
  }

  open(stage) {
    this.stage = stage;
    this.layer = this.header.layers[stage];
    this.reduction = this.layer.reduction;
    this.draw();
  }

  // A line for each kind of attention: its points, dots where it was measured, and what it costs at any side.
  lines() {
    const { layer, reduction, quantity } = this;
    const measuredHere = this.stage === this.header.stage && reduction === layer.reduction;
    const kinds = Object.entries(KINDS).filter(([name]) => quantity !== 'adds' || name !== 'full fused');
    return kinds.map(([name, style]) => {
      const { kind, fused } = style;
      const value = side =>
        quantity === 'adds'
          ? multiplyAdds(kind, layer, reduction, side)
          : peakBytes(kind, fused, layer, reduction, side);
      const measured = this.header.measured.filter(
        run => run.kind === kind && run.fused === fused && run.seconds !== null,
      );
      const dots = measured.map(run => [run.side, quantity === 'time' ? run.seconds : run.peak_bytes]);
      const shown = measuredHere && quantity !== 'adds' ? dots : [];
      return {
        name,
        ...style,
        word: quantity === 'adds' && kind === 'full' ? 'full attention' : style.word,
        points: quantity === 'time' ? shown : SIDES.map(side => [side, value(side)]),
        dots: shown,
        value: quantity === 'time' ? null : value,
      };
    });
  }

  draw() {
    const { layer, reduction, quantity } = this;
    this.ratio.value = RATIOS.indexOf(reduction);
    this.find('ratio-shown').textContent = reduction;
    this.ratio.disabled = quantity === 'time';
    if (quantity === 'time' && (this.stage !== this.header.stage || reduction !== layer.reduction)) {
      this.mark(this.header.stage);
      this.open(this.header.stage);
      return;
    }
    this.shown = this.lines();
    const values = this.shown.flatMap(line => line.points.map(point => point[1]));
    const [low, high] = values.length ? extent(values).map(Math.log10) : [0, 1];
    const powers = values.length ? [Math.floor(low), Math.ceil(high)] : [0, 1];
    const decades = Math.max(1, powers[1] - powers[0]);
    this.x = side => BOX.left + (Math.log2(side / LEAST) / OCTAVES) * (this.right - BOX.left);
    this.y = value => BOX.bottom - ((Math.log10(value) - powers[0]) / decades) * (BOX.bottom - BOX.top);
    this.cross = createSvg('line', { class: 'cross', y1: BOX.top, y2: BOX.bottom, visibility: 'hidden' });
    const limit = quantity === 'memory' && this.header.free > 10 ** powers[0] ? this.limitLine() : [];
    this.svg.replaceChildren(
      ...this.axes(powers),
      ...limit,
      ...this.shown.flatMap(line => this.marks(line)),
      this.cross,
    );
    this.svg.setAttribute('aria-label', `${QUANTITIES[quantity][0]} of one layer against the side of the picture`);
    this.root.dataset.drawn = `${quantity} ${this.stage} ${reduction}`;
    this.drawLegend();
    this.limits();
    this.read(null);
  }

  axes(powers) {
    const [low, high] = powers;
    const unit = QUANTITIES[this.quantity][1];
    const parts = [];
    for (let power = low; power <= high; power++) {
      const y = this.y(10 ** power);
      const text = this.value(10 ** power, unit);
      parts.push(createSvg('line', { class: 'grid', x1: BOX.left, x2: this.right, y1: y, y2: y }));
      parts.push(createSvg('text', { x: BOX.left - 8, y: y + 4, 'text-anchor': 'end' }, text));
    }
    for (const side of [224, 320, 448, 640, 896, 1280, 2048]) {
      const place = { x: this.x(side), y: BOX.bottom + 18, 'text-anchor': 'middle' };
      parts.push(createSvg('text', { ...place, class: [320, 640, 1280].includes(side) ? 'minor' : '' }, side));
    }
    const place = { x: this.right, y: BOX.bottom + 36, 'text-anchor': 'end' };
    return [...parts, createSvg('text', place, 'side of the picture, px')];
  }

  // The memory that is free here, and from which side on the full matrix does not fit.
  limitLine() {
    const { free } = this.header;
    const y = this.y(free);
    if (y <= BOX.top) return [];
    const over = SIDES.find(side => peakBytes('full', false, this.layer, this.reduction, side) > free);
    const text = `free here: ${this.value(free, 'B')}`;
    const place = { class: 'limit-text', x: this.right, y: y + 15, 'text-anchor': 'end' };
    return [
      createSvg('line', { class: 'limit', x1: BOX.left, x2: this.right, y1: y, y2: y }),
      createSvg('text', place, over ? `${text}, too little for the matrix from ${over} px` : text),
    ];
  }

  marks(line) {
    const { kind, colour, dash } = line;
    const at = ([side, value]) => [this.x(side), this.y(value)];
    const corner = ([x, y], i) => `${i ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    const d = line.points.map(at).map(corner).join('');
    const style = { stroke: colour, 'stroke-dasharray': dash || 'none', 'data-kind': kind };
    const dots = line.dots.map(at).map(([cx, cy]) => ({ cx, cy, r: 4.5, fill: colour, 'data-kind': kind }));
    return [createSvg('path', { class: `line ${kind}`, d, ...style }), ...dots.map(dot => createSvg('circle', dot))];
  }

  drawLegend() {
    const { layer, reduction } = this;
    const items = this.shown.map(line => {
      const item = create('li');
      const swatch = create('i', line.dash ? 'dashed' : '');
      swatch.style.borderColor = line.colour;
      item.append(swatch, create('span', '', line.word));
      return item;
    });
    const light = kind => on => {
      for (const mark of this.svg.querySelectorAll('[data-kind]'))
        mark.classList.toggle('faded', on && mark.dataset.kind !== kind);
    };
    this.find('legend').replaceChildren(...items);
    formula(this.find('terms'), [
      'One layer, N tokens of width C: attention costs ',
      ['2 N · N · C', light('full')],
      ' in full, ',
      ['2 N · (N / R²) · C', light('sra')],
      ' with SRA, ',
      [`2 N · ${POOL * POOL} · C`, light('linear')],
      ` with linear SRA. Here C = ${layer.width}, R = ${reduction}, N = (side / ${layer.stride})².`,
    ]);
  }

  // What was too large to be measured, and why.
  limits() {
    const refused = this.header.measured.filter(run => run.seconds === null && run.kind === 'full');
    const first = [
      refused.find(run => !run.fused),
      refused.find(run => !run.fused && run.why.startsWith('does not fit')),
      refused.find(run => run.fused),
    ];
    const sentences = [...new Set(first)]
      .filter(Boolean)
      .map(run => `Full attention, ${run.fused ? 'fused' : 'written out'}, at ${run.side} px: ${run.why}.`);
    this.find('limits').textContent = sentences.join(' ');
  }

  value(value, unit) {
    if (unit !== 's') {
      const [digits, letter] = large(value).split(' ');
      return `${Number(digits)} ${letter}${unit}`;
    }
    if (value < 1e-3) return `${(value * 1e6).toPrecision(2)} µs`;
    return value < 1 ? `${Number((value * 1e3).toPrecision(3))} ms` : `${Number(value.toPrecision(3))} s`;
  }

  over(event) {
    const place = shareAt(event, this.svg)[1] * this.width;
    const side = LEAST * 2 ** (((place - BOX.left) / (this.right - BOX.left)) * OCTAVES);
    this.read(clamp(Math.round(side / 32) * 32, LEAST, MOST));
  }

  read(side) {
    const unit = QUANTITIES[this.quantity][1];
    this.cross.setAttribute('visibility', side ? 'visible' : 'hidden');
    if (!side) {
      this.find('reading').textContent = 'Point at the chart to read it; move R to see what it buys.';
      return;
    }
    const at = this.quantity === 'time' ? this.nearestMeasured(side) : side;
    for (const end of ['x1', 'x2']) this.cross.setAttribute(end, String(this.x(at)));
    const costs = this.shown.map(line => {
      const value = line.value ? line.value(at) : line.points.find(point => point[0] === at)?.[1];
      return value === undefined ? `${line.word} did not run` : `${line.word} ${this.value(value, unit)}`;
    });
    this.find('reading').textContent = `${at} px: ${costs.join(', ')}.`;
  }

  nearestMeasured(side) {
    const sides = new Set(this.shown.flatMap(line => line.points.map(point => point[0])));
    const far = other => Math.abs(Math.log(other / side));
    return [...sides].sort((a, b) => far(a) - far(b))[0];
  }

  destroy() {
    this.watch.disconnect();
  }
}

export default mount(AttentionCost);
