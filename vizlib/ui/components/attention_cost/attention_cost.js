const POOL = 7;
const RATIOS = [1, 2, 4, 8, 16];
const SIDES = Array.from({ length: 58 }, (_, i) => 224 + 32 * i);
const KINDS = {
  'full written': { kind: 'full', fused: false, word: 'full attention, matrix written out', colour: '#D55E00' },
  'full fused': { kind: 'full', fused: true, word: 'full attention, fused', colour: '#E69F00', dash: '6 4' },
  'sra fused': { kind: 'sra', fused: true, word: 'SRA', colour: '#0072B2' },
  'linear fused': { kind: 'linear', fused: true, word: 'linear SRA', colour: '#009E73' },
};
const BOX = { left: 62, right: 745, top: 14, bottom: 286 };
const QUANTITIES = { adds: ['Multiply-adds', ''], memory: ['Memory', 'B'], time: ['Time measured here', 's'] };

// These mirror vizlib/analysis/reduction.py.
function keys(kind, side, ratio) {
  return kind === 'full' ? side * side : kind === 'sra' ? Math.floor(side / ratio) ** 2 : POOL * POOL;
}
function adds(kind, { width, stride }, ratio, pixels) {
  const side = Math.floor(pixels / stride);
  const n = side * side;
  const m = keys(kind, side, ratio);
  const c = width;
  const convolved = kind === 'linear' || (kind === 'sra' && ratio > 1);
  const window = kind === 'sra' ? ratio * ratio : 1;
  return 2 * (n + m) * c * c + (convolved ? window * m * c * c : 0) + 2 * n * m * c;
}
function bytes(kind, fused, { width, heads, stride }, ratio, pixels) {
  const side = Math.floor(pixels / stride);
  const n = side * side;
  const m = keys(kind, side, ratio);
  const beside = (n + 2 * m) * width;
  const one = n * width;
  const matrix = heads * n * m;
  const moments = [one * (fused || heads === 1 ? 2 : 3), beside + one];
  if (!fused) moments.push(beside + one + matrix, beside + 2 * matrix);
  return 4 * Math.max(...moments);
}

class Costs {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.svg = root.querySelector('svg');
    this.ratio = this.find('ratio');
    this.ratio.addEventListener('input', () => {
      this.reduction = RATIOS[this.ratio.value];
      this.draw();
    });
    this.svg.addEventListener('pointermove', e => this.over(e));
    this.svg.addEventListener('pointerleave', () => this.read(null));
  }

  load(header) {
    const fresh = !this.header;
    const other = fresh || JSON.stringify(header.layers) !== JSON.stringify(this.header.layers);
    this.header = header;
    if (other) this.stage = 0;
    const quantities = Object.entries(QUANTITIES)
      .filter(([name]) => name !== 'time' || header.measured.length)
      .map(([name, [text]]) => [name, text]);
    const had = this.timed;
    this.timed = header.measured.length > 0;
    if (fresh) this.quantity = 'adds';
    if (this.timed && !had) this.quantity = 'time';
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

  lines() {
    const { layer, reduction, quantity } = this;
    const found = [];
    for (const [name, look] of Object.entries(KINDS)) {
      if (quantity === 'adds' && name === 'full fused') continue;
      const value = side =>
        quantity === 'adds'
          ? adds(look.kind, layer, reduction, side)
          : bytes(look.kind, look.fused, layer, reduction, side);
      const mine = this.header.measured.filter(one => one.kind === look.kind && one.fused === look.fused);
      const valid = this.stage === this.header.stage && reduction === layer.reduction;
      const dots =
        valid && quantity !== 'adds'
          ? mine
              .filter(one => one.seconds !== null)
              .map(one => [one.side, quantity === 'time' ? one.seconds : one.peak_bytes])
          : [];
      const points = quantity === 'time' ? dots : SIDES.map(side => [side, value(side)]);
      found.push({
        name,
        ...look,
        word: quantity === 'adds' && look.kind === 'full' ? 'full attention' : look.word,
        points,
        dots,
        value: quantity === 'time' ? null : value,
      });
    }
    return found;
  }

  draw() {
    const { layer, reduction, quantity } = this;
    this.ratio.value = RATIOS.indexOf(reduction);
    this.find('ratio-shown').textContent = reduction;
    this.ratio.disabled = quantity === 'time';
    if (quantity === 'time' && (this.stage !== this.header.stage || reduction !== layer.reduction)) {
      this.stage = this.header.stage;
      this.layer = this.header.layers[this.stage];
      this.reduction = this.layer.reduction;
      this.mark(this.stage);
      this.draw();
      return;
    }
    const lines = (this.shown = this.lines());
    const all = lines.flatMap(line => line.points.map(point => point[1]));
    const [low, high] = all.length
      ? [Math.floor(Math.log10(Math.min(...all))), Math.ceil(Math.log10(Math.max(...all)))]
      : [0, 1];
    const x = side => BOX.left + (Math.log2(side / 224) / Math.log2(2048 / 224)) * (BOX.right - BOX.left);
    const y = value => BOX.bottom - ((Math.log10(value) - low) / Math.max(1, high - low)) * (BOX.bottom - BOX.top);
    this.x = x;
    this.y = y;
    const make = (tag, attributes, text) => {
      const one = document.createElementNS('http://www.w3.org/2000/svg', tag);
      for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
      if (text !== undefined) one.textContent = text;
      return one;
    };
    const parts = [];
    const unit = QUANTITIES[quantity][1];
    for (let power = low; power <= high; power++) {
      const at = y(10 ** power);
      parts.push(
        make('line', { class: 'grid', x1: BOX.left, x2: BOX.right, y1: at, y2: at }),
        make('text', { x: BOX.left - 8, y: at + 4, 'text-anchor': 'end' }, this.value(10 ** power, unit)),
      );
    }
    for (const side of [224, 320, 448, 640, 896, 1280, 2048])
      parts.push(
        make(
          'text',
          {
            x: x(side),
            y: BOX.bottom + 18,
            'text-anchor': 'middle',
            class: [320, 640, 1280].includes(side) ? 'minor' : '',
          },
          side,
        ),
      );
    parts.push(make('text', { x: BOX.right, y: BOX.bottom + 36, 'text-anchor': 'end' }, 'side of the picture, px'));
    if (quantity === 'memory' && this.header.free > 10 ** low) {
      const at = y(this.header.free);
      const over = SIDES.find(side => bytes('full', false, layer, reduction, side) > this.header.free);
      if (at > BOX.top)
        parts.push(
          make('line', { class: 'limit', x1: BOX.left, x2: BOX.right, y1: at, y2: at }),
          make(
            'text',
            { class: 'limit-text', x: BOX.right, y: at + 15, 'text-anchor': 'end' },
            `free here: ${this.value(this.header.free, 'B')}` +
              (over ? `, too little for the matrix from ${over} px` : ''),
          ),
        );
    }
    for (const line of lines) {
      const d = line.points
        .map(([side, value], i) => `${i ? 'L' : 'M'}${x(side).toFixed(1)} ${y(value).toFixed(1)}`)
        .join('');
      parts.push(
        make('path', {
          class: `line ${line.kind}`,
          d,
          stroke: line.colour,
          'stroke-dasharray': line.dash ?? 'none',
          'data-kind': line.kind,
        }),
      );
      for (const [side, value] of line.dots)
        parts.push(make('circle', { cx: x(side), cy: y(value), r: 4.5, fill: line.colour, 'data-kind': line.kind }));
    }
    this.cross = make('line', { class: 'cross', y1: BOX.top, y2: BOX.bottom, visibility: 'hidden' });
    this.svg.replaceChildren(...parts, this.cross);
    this.svg.setAttribute('aria-label', `${QUANTITIES[quantity][0]} of one layer against the side of the picture`);
    this.root.dataset.drawn = `${quantity} ${this.stage} ${reduction}`;
    this.find('legend').replaceChildren(
      ...lines.map(line => {
        const item = el('li');
        const swatch = el('i', line.dash ? 'dashed' : '');
        swatch.style.borderColor = line.colour;
        item.append(swatch, el('span', '', line.word));
        return item;
      }),
    );
    const light = kind => on =>
      this.svg
        .querySelectorAll('[data-kind]')
        .forEach(one => one.classList.toggle('faded', on && one.dataset.kind !== kind));
    formula(this.find('terms'), [
      'One layer, N tokens of width C: attention costs ',
      ['2 N · N · C', light('full')],
      ' in full, ',
      ['2 N · (N / R²) · C', light('sra')],
      ' with SRA, ',
      [`2 N · ${POOL * POOL} · C`, light('linear')],
      ` with linear SRA. Here C = ${layer.width}, R = ${reduction}, N = (side / ${layer.stride})².`,
    ]);
    this.limits();
    this.read(null);
  }

  limits() {
    const refused = this.header.measured.filter(one => one.seconds === null && one.kind === 'full');
    const first = [
      refused.find(one => !one.fused),
      refused.find(one => !one.fused && one.why.startsWith('does not fit')),
      refused.find(one => one.fused),
    ];
    const said = [...new Set(first)]
      .filter(Boolean)
      .map(one => `Full attention, ${one.fused ? 'fused' : 'written out'}, at ${one.side} px: ${one.why}.`);
    this.find('limits').textContent = said.join(' ');
  }

  value(value, unit) {
    if (unit === 's')
      return value < 1e-3
        ? `${(value * 1e6).toPrecision(2)} µs`
        : value < 1
          ? `${Number((value * 1e3).toPrecision(3))} ms`
          : `${Number(value.toPrecision(3))} s`;
    const text = large(value);
    const [digits, word] = text.split(' ');
    return `${Number(digits)} ${word}${unit}`;
  }

  over(event) {
    const box = this.svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * 760;
    const side = 224 * 2 ** (((at - BOX.left) / (BOX.right - BOX.left)) * Math.log2(2048 / 224));
    this.read(Math.max(224, Math.min(2048, Math.round(side / 32) * 32)));
  }

  read(side) {
    const unit = QUANTITIES[this.quantity][1];
    this.cross.setAttribute('visibility', side ? 'visible' : 'hidden');
    if (!side) {
      this.find('reading').textContent = 'Point at the chart to read it; move R to see what it buys.';
      return;
    }
    let at = side;
    if (this.quantity === 'time') {
      const sides = [...new Set(this.shown.flatMap(line => line.points.map(point => point[0])))];
      at = sides.reduce(
        (best, one) => (Math.abs(Math.log(one / side)) < Math.abs(Math.log(best / side)) ? one : best),
        sides[0],
      );
    }
    this.cross.setAttribute('x1', this.x(at));
    this.cross.setAttribute('x2', this.x(at));
    const said = this.shown.map(line => {
      const point = line.value ? line.value(at) : line.points.find(one => one[0] === at)?.[1];
      return point === undefined ? `${line.word} did not run` : `${line.word} ${this.value(point, unit)}`;
    });
    this.find('reading').textContent = `${at} px: ${said.join(', ')}.`;
  }
}

export default mount(Costs);
