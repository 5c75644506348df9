import { colourTable, pixel, rgbPixel } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { choices, photographUrl } from '../_lib/dom.js';
import { decimal, percent } from '../_lib/formatting.js';
import { cellAt, cellBox, extent, indexAt, paint, placeMark, ramp, stepped, takeArrow } from '../_lib/grid.js';

const SHOWS = [
  ['colours', 'Shared colours', 'Three principal components that both layers share, as red, green and blue'],
  ['length', 'Lengths', 'How long the features of each place are, each layer from its lowest to its highest'],
  ['channels', 'Channels', 'The six channels that vary most, each from its lowest to its highest'],
];

// Likenesses come as 0 to 255 for cosines from -1 to 1.
function cosine(level) {
  return level / 127.5 - 1;
}

// The index of the highest likeness, of equals the first, and how many others have it; the place itself left aside.
function mostAlike(row, self) {
  let best = -1;
  let equals = 0;
  for (let i = 0; i < row.length; i++) {
    if (i === self) continue;
    if (best < 0 || row[i] > row[best]) [best, equals] = [i, 0];
    else if (row[i] === row[best]) equals += 1;
  }
  return [best, equals];
}

class LayerPair extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.panels = [...root.querySelectorAll('.panel')].map((panel, i) => {
      const part = selector => panel.querySelector(selector);
      return {
        figure: panel,
        side: i % 2,
        layer: i < 2,
        stage: part('.stage'),
        image: part('img'),
        canvas: part('canvas'),
        self: part('.self'),
        best: part('.best'),
        name: part('b'),
        facts: part('span'),
      };
    });
    for (const panel of this.panels) {
      const point = event => {
        if (panel.layer && this.show === 'channels') return;
        this.moveTo(panel.side, cellAt(event, panel.stage, this.grid(panel.side)));
      };
      panel.stage.addEventListener('pointermove', point);
      panel.stage.addEventListener('pointerdown', point);
      panel.stage.addEventListener('keydown', event => {
        const step = takeArrow(event);
        if (!step) return;
        this.moveTo(panel.side, stepped(this.cell(panel.side), step, this.grid(panel.side)));
      });
    }
    this.slider = root.querySelector('.layer-slider input');
    this.slider.oninput = () => {
      this.pair = Number(this.slider.value);
      this.draw();
      this.reportView();
    };
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.table = colourTable(arrays.table);
    (this.urls ?? []).forEach(url => URL.revokeObjectURL(url));
    this.urls = [0, 1].map(side => photographUrl(arrays[`photo.${side}`]));
    for (const panel of this.panels) {
      const [height, width] = header.sizes[panel.side];
      panel.stage.style.aspectRatio = `${width} / ${height}`;
      panel.name.textContent = header.models[panel.side];
      if (panel.image) {
        panel.image.src = this.urls[panel.side];
        panel.image.alt = header.title;
      }
    }
    this.show = header.view.show;
    const last = header.pairs.length - 1;
    this.pair = header.view.layer < 0 ? last : Math.min(last, header.view.layer);
    const [side, y, x] = header.view.place.split(',').map(Number);
    this.place = { side, y, x }; // in shares of the picture, so that it stays when the grid changes
    choices(this.find('shows'), SHOWS, this.show, 'What is shown of the layers', name => {
      this.show = name;
      this.draw();
      this.reportView();
    });
    this.slider.max = last;
    this.slider.value = this.pair;
    this.find('layer-slider').style.display = header.single ? 'none' : '';
    this.draw();
  }

  grid(side) {
    return this.header.pairs[this.pair][side].grid;
  }

  // The cell of a side where the place lies.
  cell(side) {
    const [rows, columns] = this.grid(side);
    return [indexAt(this.place.y, rows), indexAt(this.place.x, columns)];
  }

  moveTo(side, cell) {
    const [y, x] = cell;
    const [rows, columns] = this.grid(side);
    this.place = { side, y: (y + 0.5) / rows, x: (x + 0.5) / columns };
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.likeness();
    });
    this.reportView();
  }

  reportView() {
    const { side, y, x } = this.place;
    this.report('view', { show: this.show, layer: this.pair, place: [side, y.toFixed(4), x.toFixed(4)].join(',') });
  }

  draw() {
    const { header, arrays, pair } = this;
    const tiled = this.show === 'channels';
    for (const panel of this.panels.slice(0, 2)) {
      const facts = header.pairs[pair][panel.side];
      const get = name => arrays[`${pair}.${panel.side}.${name}`];
      const averaged = facts.grid.some((side, axis) => side !== facts.cells[axis]);
      const compared = averaged ? `, compared as ${facts.grid.join(' × ')}` : '';
      panel.facts.textContent = `${facts.layer} · ${facts.cells.join(' × ')} × ${facts.channels}${compared}`;
      const places = `${facts.cells.join(' × ')} places with ${facts.channels} channels each`;
      panel.facts.title = `${percent(facts.depth)} of the way up, ${places}`;
      panel.figure.classList.toggle('tiled', tiled);
      panel.stage.title = tiled ? `Channels ${facts.numbers.map(channel => channel + 1).join(', ')}` : '';
      if (this.show === 'colours') {
        const [rows, columns] = facts.grid;
        const rgb = get('colours');
        paint(panel.canvas, rows, columns, i => rgbPixel(rgb, i));
      } else if (this.show === 'length') {
        const lengths = get('lengths');
        const [rows, columns] = lengths.shape;
        const [low, high] = extent(lengths);
        paint(panel.canvas, rows, columns, ramp(lengths, this.table, low, high));
      } else this.tiles(panel.canvas, get('channels'));
    }
    this.likeness();
  }

  // Channels in rows of three, a clear line between them.
  tiles(canvas, values) {
    const [count, rows, columns] = values.shape;
    const down = Math.ceil(count / 3);
    const wide = 3 * (columns + 1) - 1;
    const tall = down * (rows + 1) - 1;
    paint(canvas, tall, wide, i => {
      const y = Math.floor(i / wide);
      const x = i % wide;
      const tile = Math.floor(y / (rows + 1)) * 3 + Math.floor(x / (columns + 1));
      const inner = [y % (rows + 1), x % (columns + 1)];
      if (tile >= count || inner[0] === rows || inner[1] === columns) return 0;
      const value = values[(tile * rows + inner[0]) * columns + inner[1]];
      return pixel(value, value, value);
    });
  }

  // How like each cell of ``other`` is to a cell of ``side``.
  row(side, other, cell) {
    const values = this.arrays[`${this.pair}.like.${side <= other ? `${side}${other}` : `${other}${side}`}`];
    const [rows, columns] = values.shape;
    return side <= other
      ? values.subarray(cell * columns, (cell + 1) * columns)
      : Float32Array.from({ length: rows }, (_, i) => values[i * columns + cell]);
  }

  likeness() {
    const { side } = this.place;
    const [y, x] = this.cell(side);
    const cell = y * this.grid(side)[1] + x;
    const matches = [];
    for (const panel of this.panels) {
      const size = this.grid(panel.side);
      const row = this.row(side, panel.side, cell);
      const [best, equals] = mostAlike(row, panel.side === side ? cell : -1);
      this.markCells(panel, best, cell);
      if (panel.layer) continue;
      paint(panel.canvas, size[0], size[1], i =>
        pixel(12, 16, 20, Math.round(205 * (1 - Math.max(0, cosine(row[i]))))),
      );
      panel.stage.dataset.drawn = `${this.pair} ${side} ${cell}`;
      if (best < 0) continue;
      const where = `${panel.side === side ? 'elsewhere in ' : 'in '}${this.header.models[panel.side]}`;
      const place = `row ${Math.floor(best / size[1]) + 1}, column ${(best % size[1]) + 1}`;
      const also = equals ? `; ${equals === 1 ? '1 other reads' : `${equals} others read`} the same` : '';
      matches.push(`${where} the place at ${place} (likeness ${decimal(cosine(row[best]))}${also})`);
    }
    const { layer } = this.header.pairs[this.pair][side];
    const from = `row ${y + 1}, column ${x + 1} of ${this.header.models[side]} ${layer} (white frame)`;
    const frames = 'Yellow frames are around them; the darker, the less alike, down to a likeness of 0.';
    this.find('reading').textContent = `Most like ${from}: ${matches.join(', and ')}. ${frames}`;
  }

  // The frames around the place itself and around what is most like it.
  markCells(panel, best, cell) {
    const [rows, columns] = this.grid(panel.side);
    const box = index => cellBox([Math.floor(index / columns), index % columns], [rows, columns]);
    panel.best.style.display = panel.self.style.display = 'none';
    if (panel.layer && this.show === 'channels') return;
    if (best >= 0) placeMark(panel.best, box(best));
    if (panel.side === this.place.side) placeMark(panel.self, box(cell));
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    (this.urls ?? []).forEach(url => URL.revokeObjectURL(url));
  }
}

export default mount(LayerPair);
