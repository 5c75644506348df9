import { colourTable, cssColour, diverging, readableOn } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { choices, create, formula } from '../_lib/dom.js';
import { decimal, percent } from '../_lib/formatting.js';
import { cellAt, paint, placeMark } from '../_lib/grid.js';

const PARTS = ['q', 'k', 'v'];
const ROLES = { q: 'role-query', k: 'role-key', v: 'role-value', x: '' };
const WORDS = { q: 'what a token asks', k: 'what it is found by', v: 'what it hands on' };

class ConvProjection extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.slider = this.find('channel');
    this.slider.addEventListener('input', () => this.choose(Number(this.slider.value) - 1));
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.colours = colourTable(arrays.table);
    choices(
      this.find('blocks'),
      header.blocks.map((block, i) => [i, `Stage ${block.stage}, layer ${block.block}`]),
      0,
      'Layer',
      i => this.open(Number(i)),
    );
    this.open(0);
  }

  open(index) {
    this.index = index;
    const block = (this.block = this.header.blocks[index]);
    const get = name => this.arrays[`${index}.${name}`];
    this.before = get('before');
    this.after = Object.fromEntries(PARTS.map(part => [part, get(part)]));
    this.kernels = Object.fromEntries(PARTS.map(part => [part, get(`${part}.kernel`)]));
    this.slider.max = block.channels;
    this.kernelGrids = PARTS.map(part => this.kernelGrid(part));
    this.find('grid').replaceChildren(...this.kernelGrids.map(({ figure }) => figure));
    this.panels = ['x', ...PARTS].map(part => this.panel(part));
    this.find('panels').replaceChildren(...this.panels.map(({ figure }) => figure));
    const light = part => on => {
      this.kernelGrids[PARTS.indexOf(part)].figure.classList.toggle('lit', on);
      this.panels[1 + PARTS.indexOf(part)].figure.classList.toggle('lit', on);
    };
    const [h, w] = block.grid;
    const [kh, kw] = block.keys;
    const step = Math.round(h / kh);
    const conv = step > 1 ? `conv_{${step}}` : 'conv';
    formula(this.find('terms'), [
      'Attention( ',
      ['W_{q} · conv(x)', light('q')],
      ` at ${h} × ${w} cells, `,
      [`W_{k} · ${conv}(x)`, light('k')],
      ` at ${kh} × ${kw}, `,
      [`W_{v} · ${conv}(x)`, light('v')],
      ` at ${kh} × ${kw} )${step > 1 ? `; ${conv} goes on by ${step} cells at a time` : ''}`,
    ]);
    this.choose(block.clearest);
  }

  // All kernels of one part, a tile each: blue takes away, red adds, each to its own strongest cell.
  kernelGrid(part) {
    const figure = create('figure', `map-box ${ROLES[part]}`);
    const caption = create('figcaption');
    const canvas = create('canvas');
    const mark = create('i', 'mark self');
    const box = create('div', 'box');
    const { channels, facts } = this.block;
    const columns = Math.ceil(Math.sqrt(channels * 1.6));
    const rows = Math.ceil(channels / columns);
    const kernels = this.kernels[part];
    const peaks = Array.from({ length: channels }, (_, c) =>
      Math.max(...kernels.subarray(9 * c, 9 * c + 9).map(Math.abs)),
    );
    const [centre, kept] = [percent(facts[part].centre), percent(facts[part].constancy)];
    caption.append(
      create('b', '', `The ${channels} kernels of ${part}`),
      create(
        'span',
        '',
        `${centre} of their weight on the centre; on an even surface ${kept} of it is left, the rest cancels`,
      ),
    );
    paint(canvas, rows * 4 - 1, columns * 4 - 1, i => {
      const y = Math.floor(i / (columns * 4 - 1));
      const x = i % (columns * 4 - 1);
      const c = Math.floor(y / 4) * columns + Math.floor(x / 4);
      if (y % 4 === 3 || x % 4 === 3 || c >= channels) return 0;
      return diverging(peaks[c] ? kernels[9 * c + 3 * (y % 4) + (x % 4)] / peaks[c] : 0);
    });
    canvas.addEventListener('pointermove', event => {
      const [y, x] = cellAt(event, canvas, [rows, columns]);
      const c = y * columns + x;
      if (c < channels) this.choose(c);
    });
    box.append(canvas, mark);
    figure.append(caption, box);
    const size = [rows * 4 - 1, columns * 4 - 1];
    const markChannel = channel => {
      const [top, left] = [Math.floor(channel / columns) * 4, (channel % columns) * 4];
      placeMark(mark, [top / size[0], left / size[1], (top + 3) / size[0], (left + 3) / size[1]]);
    };
    return { figure, mark: markChannel };
  }

  panel(part) {
    const figure = create('figure', `panel ${ROLES[part]}`);
    const caption = create('figcaption');
    const stage = create('div', 'stage');
    const canvas = create('canvas');
    const grid = part === 'k' || part === 'v' ? this.block.keys : this.block.grid;
    caption.append(
      create('b', '', part === 'x' ? 'Before: x' : `After: ${part}`),
      create(
        'span',
        '',
        part === 'x' ? `${grid[0]} × ${grid[1]} cells` : `${grid[0]} × ${grid[1]} cells, ${WORDS[part]}`,
      ),
    );
    stage.style.aspectRatio = `${this.header.size[1]} / ${this.header.size[0]}`;
    stage.append(canvas);
    figure.append(caption, stage);
    const kernel = part === 'x' ? null : create('div', 'kernel');
    if (kernel) figure.append(kernel);
    return { part, figure, stage, canvas, grid, kernel };
  }

  // Readers count channels from 1, arrays from 0.
  choose(channel) {
    this.slider.value = channel + 1;
    this.find('channel-shown').textContent = `${channel + 1} of ${this.block.channels}`;
    for (const { mark } of this.kernelGrids) mark(channel);
    const kernels = [];
    for (const { part, canvas, stage, grid, kernel } of this.panels) {
      const cells = grid[0] * grid[1];
      const values = (part === 'x' ? this.before : this.after[part]).subarray(channel * cells, (channel + 1) * cells);
      paint(canvas, grid[0], grid[1], i => this.colours[values[i]]);
      stage.dataset.drawn = `${this.index} ${channel}`;
      if (!kernel) continue;
      const weights = this.kernels[part].subarray(9 * channel, 9 * channel + 9);
      const peak = Math.max(...weights.map(Math.abs));
      kernel.replaceChildren(
        ...[...weights].map(weight => {
          const cell = create('span', '', decimal(weight));
          const colour = diverging(peak ? weight / peak : 0);
          cell.style.background = cssColour(colour);
          cell.style.color = readableOn(colour);
          return cell;
        }),
      );
      const sum = weights.reduce((a, b) => a + b, 0);
      const size = weights.reduce((a, b) => a + Math.abs(b), 0);
      kernels.push(`${part}: centre ${percent(size ? Math.abs(weights[4]) / size : 0)}, sum ${decimal(sum)}`);
    }
    this.find('reading').textContent =
      `Channel ${channel + 1}, kernels with the gain of their batch norm. ${kernels.join('; ')}. ` +
      'A large centre passes the map on; a sum near zero sees edges alone.';
  }
}

export default mount(ConvProjection);
