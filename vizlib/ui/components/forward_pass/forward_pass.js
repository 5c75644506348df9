import { colourTable } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { rowOf } from '../_lib/decoder.js';
import { create } from '../_lib/dom.js';
import { addingDigits, capital, number, percent, signedNumber, thousands } from '../_lib/formatting.js';
import { cellBox, clamp, extent, paint, placeMark, ramp, shareAt, stepped, takeArrow } from '../_lib/grid.js';

// The order of the vectors in the message: vizlib/ui/pages/attention/forward_work.py has the same.
const STATES = ['arrives', 'first_norm', 'attention', 'between', 'carried', 'second_norm', 'mlp', 'leaves'];
const HINT = 'Click a patch to follow it; or the arrow keys.';

class ForwardPass extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.stage = this.find('stage');
    const over = event => this.cellUnder(event);
    this.stage.addEventListener('pointermove', event => this.point(over(event)));
    this.stage.addEventListener('pointerleave', () => this.point(null));
    this.stage.addEventListener('click', event => this.follow(this.placeOf(over(event))));
    this.stage.addEventListener('keydown', event => {
      const step = takeArrow(event);
      if (step)
        this.follow(this.placeOf(stepped(this.cell ?? this.layer.grid.map(side => side >> 1), step, this.layer.grid)));
    });
  }

  load(header, arrays) {
    // Another patch was held on the canvas: what is open stays open.
    const stays = this.header?.title === header.title && this.header.layers.length === header.layers.length;
    const [open, step] = stays ? [this.part, this.step] : [1, 'between'];
    super.load(header, arrays);
    const photo = this.find('photo');
    photo.src = this.replacePhotograph(arrays.photo);
    photo.alt = header.title;
    this.stage.style.aspectRatio = `${header.size[1]} / ${header.size[0]}`;
    this.stage.setAttribute('aria-label', `${header.title}, as the model gets it. ${HINT}`);
    this.colours = colourTable(arrays.viridis);
    this.top = 0;
    this.place = header.start;
    this.step = step;
    this.parts = [
      { kind: 'pixels' },
      ...header.layers.map((_, index) => ({ kind: 'layer', index })),
      { kind: 'answer' },
    ];
    this.tiles = this.parts.map((part, at) => this.tile(part, at));
    this.find('ribbon').replaceChildren(...this.tiles);
    this.open(open);
  }

  // The layer whose grid is drawn: that of the open part, the first for the pixels, the last for the answer.
  get index() {
    const { kind, index } = this.parts[this.part];
    return kind === 'layer' ? index : kind === 'pixels' ? 0 : this.header.layers.length - 1;
  }

  get layer() {
    return this.header.layers[this.index];
  }

  // A place is {prefix} for a learned token, or {v, u} in shares of the picture, so that it lives on any grid.
  /** @param {number[]} cell */
  placeOf([row, column]) {
    const [rows, columns] = this.layer.grid;
    return { v: (row + 0.5) / rows, u: (column + 0.5) / columns };
  }

  tokenIn(layer) {
    const { prefix, v, u } = this.place;
    if (prefix !== undefined) return prefix < layer.prefix.length ? prefix : -1;
    const [rows, columns] = layer.grid;
    return (
      layer.prefix.length +
      clamp(Math.floor(v * rows), 0, rows - 1) * columns +
      clamp(Math.floor(u * columns), 0, columns - 1)
    );
  }

  get cell() {
    const at = this.tokenIn(this.layer) - this.layer.prefix.length;
    return at >= 0 ? [Math.floor(at / this.layer.grid[1]), at % this.layer.grid[1]] : null;
  }

  nameOf(token, prefix, columns) {
    if (token < prefix.length) return prefix[token];
    const at = token - prefix.length;
    return `row ${Math.floor(at / columns) + 1}, column ${(at % columns) + 1}`;
  }

  cellUnder(event) {
    const [down, across] = shareAt(event, this.stage);
    const [rows, columns] = this.layer.grid;
    return [clamp(Math.floor(down * rows), 0, rows - 1), clamp(Math.floor(across * columns), 0, columns - 1)];
  }

  length(index, state, token) {
    const { lengths } = this.layerArrays(index);
    return rowOf(lengths, STATES.indexOf(state))[token];
  }

  layerArrays(index) {
    const get = name => this.arrays[`${index}.${name}`];
    return { lengths: get('lengths'), numbers: get('numbers'), sources: get('sources'), shares: get('shares') };
  }

  numbersOf(index, state, token) {
    const count = this.header.numbers;
    const all = rowOf(this.layerArrays(index).numbers, STATES.indexOf(state));
    return [...all.subarray(token * count, (token + 1) * count)];
  }

  tile(part, at) {
    const button = create('button');
    button.type = 'button';
    button.setAttribute('role', 'tab');
    button.onclick = () => this.open(at);
    button.onkeydown = event => {
      const step = takeArrow(event);
      if (!step) return;
      this.open(clamp(at + step[0] + step[1], 0, this.parts.length - 1));
      this.tiles[this.part].focus();
    };
    if (part.kind === 'pixels') {
      const image = create('img', 'tile');
      image.src = this.url;
      image.alt = '';
      button.append(image, create('div', 'bars'), 'Pixels, patches');
    } else if (part.kind === 'layer') {
      const { grid, prefix, title } = this.header.layers[part.index];
      const [rows, columns] = grid;
      const canvas = create('canvas', 'tile');
      const lengths = rowOf(this.layerArrays(part.index).lengths, STATES.indexOf('leaves')).subarray(prefix.length);
      const [low, high] = extent(lengths);
      paint(canvas, rows, columns, ramp(lengths, this.colours, low, high));
      const bars = create('div', 'bars');
      for (const kind of ['attention', 'mlp']) {
        const bar = create('span', kind);
        bar.append(create('i'));
        bars.append(bar);
      }
      button.append(canvas, bars, capital(title));
    } else {
      const [first] = this.header.top;
      button.append(create('div', 'tile'), create('div', 'bars'), `${first.label}, ${percent(first.probability)}`);
      button.firstChild.textContent = 'Answer';
      button.firstChild.style.lineHeight = '64px';
    }
    return button;
  }

  open(part) {
    this.part = part;
    this.tiles.forEach((tile, at) => {
      tile.setAttribute('aria-selected', String(at === part));
      tile.tabIndex = at === part ? 0 : -1;
    });
    this.tiles[part].scrollIntoView({ block: 'nearest', inline: 'nearest' });
    this.drawStage();
    this.draw();
  }

  follow(place) {
    this.place = place;
    this.draw();
  }

  drawStage() {
    const [rows, columns] = this.layer.grid;
    const line = 'rgb(255 255 255 / 0.4) 0 1px, transparent 1px';
    const lines = this.find('lines');
    lines.style.backgroundImage = `linear-gradient(to right, ${line}), linear-gradient(to bottom, ${line})`;
    lines.style.backgroundSize = `calc(100% / ${columns}) 100%, 100% calc(100% / ${rows})`;
    const chips = this.layer.prefix.map((name, prefix) => {
      const chip = create('button', '', name);
      chip.type = 'button';
      chip.onclick = () => this.follow({ prefix });
      return chip;
    });
    this.find('chips').replaceChildren(...chips);
  }

  point(cell) {
    placeMark(this.find('here'), cell ? cellBox(cell, this.layer.grid) : [0, 0, 0, 0]);
  }

  draw() {
    const { layer, cell } = this;
    const token = this.tokenIn(layer);
    placeMark(this.find('self'), cell ? cellBox(cell, layer.grid) : [0, 0, 0, 0]);
    [...this.find('chips').children].forEach((chip, at) => chip.setAttribute('aria-pressed', String(at === token)));
    this.drawBars();
    this.find('looks').replaceChildren();
    this.find('map').style.display = 'none';
    const { kind, index } = this.parts[this.part];
    this.find('reading').textContent =
      token < 0 ? 'There is no such token yet: it joins in a later layer. Click a patch.' : this.following(token);
    if (token < 0) this.showSteps('', [], '', []);
    else if (kind === 'pixels') this.drawPixels(token);
    else if (kind === 'layer') this.drawLayer(index, token);
    else this.drawAnswer();
    this.root.dataset.drawn = `${this.part} ${token} ${this.step}`;
  }

  following(token) {
    const { prefix, grid } = this.layer;
    const count = prefix.length + grid[0] * grid[1];
    return `Followed: ${this.nameOf(token, prefix, grid[1])}, one of ${thousands(count)} tokens. ${HINT}`;
  }

  // Under each layer, what attention and the MLP add to the token, against the longest addition of all layers.
  drawBars() {
    const added = this.header.layers.map((layer, index) => {
      const token = this.tokenIn(layer);
      return token < 0 ? [0, 0] : ['attention', 'mlp'].map(state => this.length(index, state, token));
    });
    const most = Math.max(...added.flat(), 1e-9);
    added.forEach((pair, index) => {
      const tile = this.tiles[1 + index];
      pair.forEach((value, at) => {
        tile.querySelectorAll('.bars i')[at].style.width = `${(100 * value) / most}%`;
      });
      tile.title = `Attention adds ${number(pair[0])}, the MLP ${number(pair[1])} to the token that is followed.`;
    });
  }

  /**
   * @param {string} title
   * @param {any[][]} steps [name, label, length, kind, inside, what is written for the length]
   * @param {string} why
   * @param {any[][]} rows [label, numbers, length or null, total]
   */
  showSteps(title, steps, why, rows) {
    this.find('what').textContent = title;
    const most = Math.max(...steps.map(([, , length]) => length), 1e-9);
    const buttons = steps.map(([name, label, length, kind, inside, text = number(length)], at) => {
      const button = create('button', [kind, inside ? 'inside' : ''].join(' '));
      button.type = 'button';
      button.setAttribute('role', 'option');
      button.setAttribute('aria-selected', String(name === this.step));
      button.tabIndex = name === this.step ? 0 : -1;
      const bar = create('span', 'bar');
      bar.append(create('i'));
      bar.firstChild.style.width = `${(100 * length) / most}%`;
      button.append(create('span', 'label', label), bar, create('span', 'length', text));
      button.onclick = () => this.choose(name);
      button.onkeydown = event => {
        const step = takeArrow(event);
        if (!step) return;
        this.choose(steps[clamp(at + step[0] + step[1], 0, steps.length - 1)][0]);
        this.find('steps').querySelector('[aria-selected=true]')?.focus();
      };
      return button;
    });
    this.find('steps').replaceChildren(...buttons);
    this.find('why').textContent = why;
    this.find('numbers').replaceChildren(...(rows.length ? this.table(rows) : []));
  }

  choose(step) {
    this.step = step;
    this.draw();
  }

  table(rows) {
    const { numbers } = this.header;
    const withLength = rows.some(([, , length]) => length !== null);
    const line = (kind, cells) => {
      const row = create('tr');
      row.append(...cells.map(cell => create(kind, '', cell)));
      return row;
    };
    const head = [
      'number',
      ...Array.from({ length: numbers }, (_, i) => i + 1),
      '…',
      ...(withLength ? ['length'] : []),
    ];
    return [
      line('th', head),
      ...rows.map(([label, values, length, total]) => {
        const cells = [...values].map(value => signedNumber(value, Math.abs(value) < 10 ? 3 : 1));
        const row = line('td', [label, ...cells, '…', ...(withLength ? [length === null ? '' : number(length)] : [])]);
        row.classList.toggle('total', Boolean(total));
        return row;
      }),
    ];
  }

  drawPixels(token) {
    const { patches, patch, channels } = this.header;
    const at = token - this.layer.prefix.length;
    const arrives = this.numbersOf(0, 'arrives', token);
    const length = this.length(0, 'arrives', token);
    if (at < 0) {
      this.showSteps(
        `The ${this.layer.prefix[token]}`,
        [['arrives', 'learned, with its position', length, '', false]],
        'It stands for no pixels: it is the same for every picture, until attention fills it.',
        [['arrives at layer 1', arrives, length, true]],
      );
      return;
    }
    if (!patches) {
      this.showSteps(
        'From pixels to tokens',
        [['arrives', 'arrives at layer 1', length, '', false]],
        this.header.before,
        [['arrives at layer 1', arrives, length, true]],
      );
      return;
    }
    const count = this.header.numbers;
    const made = [...this.arrays['patches.numbers'].subarray(at * count, (at + 1) * count)];
    const madeLength = this.arrays['patches.lengths'][at];
    if (!['patch', 'arrives'].includes(this.step)) this.step = 'arrives';
    this.showSteps(
      'From pixels to a token',
      [
        ['patch', 'patch × weights', madeLength, '', false],
        ['arrives', '+ position = arrives', length, '', false],
      ],
      `A patch of ${patch[0]} × ${patch[1]} pixels in 3 colours is ${3 * patch[0] * patch[1]} numbers; one linear ` +
        `map makes ${channels} of them, ` +
        ' the same for every patch. A learned vector says where the patch lies.',
      [
        ['patch × weights', made, madeLength, false],
        ['+ position', arrives.map((value, i) => value - made[i]), null, false],
        ['= arrives at layer 1', arrives, length, true],
      ],
    );
  }

  drawLayer(index, token) {
    const layer = this.header.layers[index];
    const has = name => layer.has.includes(name);
    const steps = [
      ['arrives', 'arrives', '', false],
      ...(has('first_norm') ? [['first_norm', 'norm', 'attention', true]] : []),
      ['attention', 'attention adds', 'attention', true],
      ['between', '= sum', '', false],
      ...(layer.norms_skip ? [['carried', 'norm of the sum', '', false]] : []),
      ...(has('second_norm') && !layer.norms_skip ? [['second_norm', 'norm', 'mlp', true]] : []),
      ['mlp', 'MLP adds', 'mlp', true],
      ['leaves', '= leaves', '', false],
    ].map(([name, label, kind, inside]) => [name, label, this.length(index, name, token), kind, inside]);
    if (!steps.some(([name]) => name === this.step)) this.step = 'between';
    const row = (name, label, total = false) => [
      label,
      this.numbersOf(index, name, token),
      this.length(index, name, token),
      total,
    ];
    const past = layer.norms_skip ? 'carried' : 'between';
    const rows = {
      arrives: [row('arrives', 'arrives')],
      first_norm: [row('arrives', 'arrives'), row('first_norm', 'after the norm')],
      attention: [row('attention', 'attention adds')],
      between: [row('arrives', 'arrives'), row('attention', '+ attention'), row('between', '= sum', true)],
      carried: [row('between', 'sum'), row('carried', 'after the norm')],
      second_norm: [row('between', 'sum'), row('second_norm', 'after the norm')],
      mlp: [row('mlp', 'MLP adds')],
      leaves: [
        row(past, layer.norms_skip ? 'norm of the sum' : 'sum'),
        row('mlp', '+ MLP'),
        row('leaves', '= leaves', true),
      ],
    };
    this.showSteps(
      `${capital(layer.title)}, ${this.nameOf(token, layer.prefix, layer.grid[1])}`,
      steps,
      this.why(index, token),
      rows[this.step],
    );
    if (this.step === 'attention') this.drawLooks(index, token);
  }

  why(index, token) {
    const of = name => this.length(index, name, token);
    const layer = this.header.layers[index];
    const against = name =>
      percent(of(name) / of(name === 'mlp' ? (layer.norms_skip ? 'carried' : 'between') : 'arrives'));
    switch (this.step) {
      case 'arrives':
        return `${thousands(layer.width)} numbers, of length ${number(of('arrives'))}: what the part before left.`;
      case 'first_norm':
      case 'second_norm':
      case 'carried':
        return (
          'A token’s numbers are shifted to a mean of 0 and scaled to a spread of 1, then each is multiplied by ' +
          'a learned weight and gets a learned bias.'
        );
      case 'attention':
        return (
          `It looks at ${this.lookedAt(index, token)} ` +
          `(${layer.heads === 1 ? 'one head' : `mean of ${layer.heads} heads`}). ` +
          `What it adds is ${against('attention')} as long as what arrived.`
        );
      case 'mlp':
        return `The MLP sees this token alone. What it adds is ${against('mlp')} as long as the state it is added to.`;
      case 'leaves':
        return `The length goes from ${number(of('arrives'))} to ${number(of('leaves'))} in this layer.`;
      default:
        return 'The residual: what arrived is kept, and what attention found is added to it, number by number.';
    }
  }

  lookedAt(index, token) {
    const layer = this.header.layers[index];
    const { sources, shares } = this.layerArrays(index);
    const most = layer.sources;
    return Array.from({ length: Math.min(3, most) }, (_, i) => {
      const key = sources[token * most + i];
      return `${this.nameOf(key, layer.key_prefix, layer.keys[1])} with ${percent(shares[token * most + i])}`;
    }).join(', ');
  }

  drawLooks(index, token) {
    const layer = this.header.layers[index];
    const { sources, shares } = this.layerArrays(index);
    const marks = [];
    for (let i = 0; i < layer.sources; i++) {
      const at = sources[token * layer.sources + i] - layer.key_prefix.length;
      if (at < 0) continue;
      const mark = create('i');
      const [top, left, bottom, right] = cellBox([Math.floor(at / layer.keys[1]), at % layer.keys[1]], layer.keys);
      Object.assign(mark.style, {
        top: `${top * 100}%`,
        left: `${left * 100}%`,
        height: `${(bottom - top) * 100}%`,
        width: `${(right - left) * 100}%`,
      });
      mark.title = percent(shares[token * layer.sources + i]);
      marks.push(mark);
    }
    this.find('looks').replaceChildren(...marks);
  }

  drawAnswer() {
    const { top, read, numbers, features } = this.header;
    // Logits may be negative: the bars begin below the least of them.
    const [least, most] = extent(top.map(({ logit }) => logit));
    const floor = Math.min(0, least - (most - least || 1) / 10);
    const steps = top.map(({ label, logit, probability }, at) => [
      at,
      `${label}, ${percent(probability)}`,
      logit - floor,
      '',
      false,
      signedNumber(logit),
    ]);
    if (typeof this.step !== 'number') this.step = this.top;
    this.top = this.step = clamp(this.step, 0, top.length - 1);
    const chosen = top[this.top];
    const title =
      floor < 0
        ? 'The logits: the longer, the more probable; bars begin below 0'
        : 'The logits: the longer, the more probable';
    if (!features) {
      this.showSteps(title, steps, `${read} The logit of ${chosen.label} is ${signedNumber(chosen.logit)}.`, []);
      return;
    }
    const products = features.map((value, i) => value * chosen.weights[i]);
    const first = products.reduce((a, b) => a + b, 0);
    const digits = addingDigits(chosen.logit, [first, chosen.rest, chosen.bias]);
    this.showSteps(
      title,
      steps,
      `${read} The logit of ${chosen.label} is the sum of ${thousands(this.header.channels)} ` +
        `products and a bias: the first ${numbers} ` +
        `make ${signedNumber(first, digits)}, the others ${signedNumber(chosen.rest, digits)}, the bias ` +
        `${signedNumber(chosen.bias, digits)}, together ${signedNumber(chosen.logit, digits)}.`,
      [
        ['what the head reads', features, null, false],
        [`× weights of ${chosen.label}`, chosen.weights, null, false],
        ['= products', products, null, true],
      ],
    );
  }
}

export default mount(ForwardPass);
