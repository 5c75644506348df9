import { OKABE_ITO, pixel } from '../_lib/colormaps.js';
import { ComponentWithView, mount } from '../_lib/component.js';
import { decode, sameNumbers } from '../_lib/decoder.js';
import { create } from '../_lib/dom.js';
import { decimal, significant } from '../_lib/formatting.js';
import { cellAt, clamp } from '../_lib/grid.js';

// A grid of 6 x 6 maps, in pixels of its canvas.
const SIDE = 6;
const SIZE = 540;
const GAP = 6;
const CELL = SIZE / SIDE;
// What a map's flags say, bit by bit.
const FLAGS = { lowLevel: 1, dead: 2, exploding: 4 };

// A cross in the corner of a cell, a star where the channel explodes: the colour alone would not tell everybody.
function crossOut(context, x, y, exploding) {
  const size = (CELL - GAP) / 5;
  const [middle, low] = [x + CELL - size, y + CELL - size];
  context.lineWidth = 3;
  context.beginPath();
  context.moveTo(middle - size / 2, low - size / 2);
  context.lineTo(middle + size / 2, low + size / 2);
  context.moveTo(middle + size / 2, low - size / 2);
  context.lineTo(middle - size / 2, low + size / 2);
  if (exploding) {
    context.moveTo(middle, low - size / 1.6);
    context.lineTo(middle, low + size / 1.6);
  }
  context.stroke();
}

class ChannelGrid extends ComponentWithView {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.find('order').addEventListener('change', event => this.choose({ order: event.target.value }));
    this.find('scaling').addEventListener('change', event => this.choose({ scaling: event.target.value }));
    this.find('bare').addEventListener('change', event => this.choose({ way: event.target.checked ? 'bare' : 'true' }));
  }

  load(header, { payload }) {
    this.takeView(header.view);
    if (!sameNumbers(this.payload, payload)) {
      this.payload = payload;
      ({ header: this.header, arrays: this.arrays } = decode(payload));
      this.build();
    }
    this.show();
  }

  build() {
    const { chance, others, grid, flat, times, deviations } = this.header.rules;
    this.find('rules').textContent = [
      `low-level: on a grid of ${grid[0]} × ${grid[1]} for all, the correlation with this picture's gradients (R) ` +
        `is above all but ${Math.round(100 * chance)} % of those with ${others} others, pictures turned and mirrored`,
      `dead: deviation under ${flat} of the layer's median`,
      `exploding: largest value over ${times} times the layer's median ` +
        `and ${deviations} robust deviations of its logarithm`,
    ].join('; ');
    this.grids = this.header.grids.map((model, index) => this.grid(model, index));
    this.find('grids').replaceChildren(...this.grids.map(({ box }) => box));
  }

  grid(model, index) {
    const box = create('div', 'channel-box');
    const head = create('div', 'head');
    const select = create('select');
    const canvas = create('canvas');
    const facts = create('div', 'facts');
    select.setAttribute('aria-label', `Layer of ${model.title}`);
    model.layers.forEach((layer, i) => select.add(new Option(layer.title, String(i))));
    canvas.width = canvas.height = SIZE;
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'img');
    select.addEventListener('change', () => {
      const layers = this.header.grids.map((_, i) => this.view.layers?.[i] ?? 0);
      layers[index] = Number(select.value);
      this.choose({ layers });
    });
    canvas.addEventListener('pointermove', event => this.read(index, event));
    canvas.addEventListener('pointerleave', () => {
      this.find('reading').textContent = '';
    });
    head.append(create('b', '', model.title), select);
    box.append(head, canvas, facts);
    return { box, select, canvas, facts };
  }

  choose(part) {
    Object.assign(this.view, part);
    this.show();
    this.reportView();
  }

  show() {
    const { order, scaling, way } = this.view;
    this.find('order').value = order;
    this.find('scaling').value = scaling;
    this.find('bare').checked = way === 'bare';
    this.grids.forEach((grid, index) => this.draw(grid, index));
    this.find('grids').dataset.drawn = `${order} ${scaling} ${way}`;
  }

  draw(grid, index) {
    const { layers, title } = this.header.grids[index];
    const { way } = this.view;
    const layer = layers[this.view.layers?.[index]] ?? layers[0];
    const maps = layer.ways[way] ?? layer.ways.true;
    grid.select.value = layers.indexOf(layer);
    grid.maps = maps;
    grid.channels = this.ordered(maps).slice(0, SIDE * SIDE);
    this.paint(grid.canvas, grid.channels, maps);
    const words = [this.counts(maps)];
    if (way === 'bare') words.push(this.shortcut(layer));
    grid.facts.textContent = words.join(' ');
    grid.canvas.setAttribute('aria-label', `${title}, ${layer.title}: ${words[0]}`);
  }

  part(maps, name) {
    return this.arrays[`${maps.key}.${name}`];
  }

  // The numbers of the channels in the order that was chosen.
  ordered(maps) {
    const channels = Array.from({ length: maps.channels }, (_, i) => i);
    const edge = this.part(maps, 'edge');
    const deviation = this.part(maps, 'deviation');
    if (this.view.order === 'edge') channels.sort((a, b) => Math.abs(edge[b]) - Math.abs(edge[a]));
    if (this.view.order === 'variance') channels.sort((a, b) => deviation[b] - deviation[a]);
    return channels;
  }

  // What is black and what is white, for all channels alike.
  greyEnds(maps) {
    const ends = [...this.part(maps, 'low'), ...this.part(maps, 'high')];
    const most = ends.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);
    const reach = 3 * 1.4826 * maps.mad;
    return this.view.scaling === 'layer' ? [-most, most] : [maps.median - reach, maps.median + reach];
  }

  paint(canvas, channels, maps) {
    const [height, width] = maps.grid;
    const [levels, low, high, flags] = ['maps', 'low', 'high', 'flags'].map(name => this.part(maps, name));
    const [from, to] = this.greyEnds(maps);
    const context = canvas.getContext('2d');
    const tile = new OffscreenCanvas(width, height);
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, SIZE, SIZE);
    channels.forEach((channel, place) => {
      const image = new ImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      const step = (high[channel] - low[channel]) / 255;
      const own = this.view.scaling === 'channel';
      pixels.forEach((_, i) => {
        const level = levels[channel * height * width + i];
        const share = (low[channel] + level * step - from) / (to - from);
        const shared = to > from ? clamp(share * 255, 0, 255) : 128;
        const grey = Math.round(own ? (high[channel] > low[channel] ? level : 128) : shared);
        pixels[i] = pixel(grey, grey, grey);
      });
      tile.getContext('2d').putImageData(image, 0, 0);
      const x = (place % SIDE) * CELL;
      const y = Math.floor(place / SIDE) * CELL;
      context.drawImage(tile, x + GAP / 2, y + GAP / 2, CELL - GAP, CELL - GAP);
      if (flags[channel]) this.frame(context, x, y, flags[channel]);
    });
  }

  frame(context, x, y, flag) {
    const broken = flag & (FLAGS.dead | FLAGS.exploding);
    context.strokeStyle = broken ? OKABE_ITO.vermilion : OKABE_ITO.green;
    context.lineWidth = 5;
    context.strokeRect(x + 3, y + 3, CELL - 6, CELL - 6);
    if (broken) crossOut(context, x, y, flag & FLAGS.exploding);
  }

  counts(maps) {
    const [height, width] = maps.grid;
    const flags = this.part(maps, 'flags');
    const byChance = Math.round(this.header.rules.chance * maps.channels);
    const count = bit => flags.reduce((sum, flag) => sum + (flag & bit ? 1 : 0), 0);
    const lowLevel = `${count(FLAGS.lowLevel)} low-level (by chance: ${byChance})`;
    const broken = `${count(FLAGS.dead)} dead, ${count(FLAGS.exploding)} exploding`;
    return `${maps.channels} channels of ${height} × ${width}: ${lowLevel}, ${broken}.`;
  }

  // How the maps that the notebooks drew differ from the true ones.
  shortcut({ ways, agreement }) {
    if (!ways.bare) return 'The notebooks took no shortcut here: these are the true maps.';
    if (agreement === undefined) return 'The shortcut skipped a pooling too, so its maps have another size.';
    return `The shortcut's maps and the true ones correlate by ${decimal(agreement)} (median over channels).`;
  }

  read(index, event) {
    const { canvas, channels, maps } = this.grids[index];
    const [row, column] = cellAt(event, canvas, [SIDE, SIDE]);
    const channel = channels[row * SIDE + column];
    if (channel === undefined) return;
    const value = name => this.part(maps, name)[channel];
    const flag = value('flags');
    const marks = [
      flag & FLAGS.lowLevel && 'low-level',
      flag & FLAGS.dead && 'dead',
      flag & FLAGS.exploding && 'exploding',
    ].filter(Boolean);
    const range = `${significant(value('low'), 3)} to ${significant(value('high'), 3)}`;
    const deviation = `deviation ${significant(value('deviation'), 3)}`;
    const edge = `correlation with gradients ${decimal(value('edge'))}`;
    const name = `${this.header.grids[index].title}, channel ${channel + 1}`;
    this.find('reading').textContent = `${name}: ${range}, ${deviation}, ${edge}; ${marks.join(', ') || 'unmarked'}`;
  }
}

export default mount(ChannelGrid);
