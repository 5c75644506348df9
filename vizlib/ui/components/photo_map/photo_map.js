import { namedTable, withAlpha } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { clamp, hatchAround, paintRamp, shareAt, takeArrow } from '../_lib/grid.js';
import { announceAppearance, onAppearance, page } from '../_lib/map_appearance.js';
import { decimal, percent, scaleEnd, significant } from '../_lib/formatting.js';

const HINT = 'Point at the picture, or use the arrow keys on it, to read the map.';
const LONGEST = 600; // pixels of the canvas along the longer side, at least
const UNITS = {
  share: { legend: 'share of the explanation per pixel, × uniform', word: 'uniform' },
  lift: { legend: 'lift, × what even attention would give', word: 'even attention' },
  score: { legend: 'evidence for the class, in logits: against in blue, for in red', word: 'logits' },
};

// A value in multiples of the unit, as its legend writes it.
function inUnit(value, unit, digits) {
  if (unit === 'score') return value === 0 ? '0' : significant(value, 2);
  if (value === 0) return '0×';
  return `${decimal(value, digits ?? (value < 0.1 ? 3 : value < 10 ? 1 : 0))}×`;
}

// The two model pixels around a place on one axis of the model's input and how far it is from the first to the second;
// null where the model does not see.
function neighbours(place, length) {
  if (!(place >= 0 && place < length)) return null;
  const inside = clamp(place - 0.5, 0, length - 1);
  const first = Math.floor(inside);
  return { first, second: Math.min(first + 1, length - 1), share: inside - first };
}

// The neighbours of every pixel of the canvas along one axis.
function axisNeighbours(count, axis, { image, input, scale, offset }) {
  return Array.from({ length: count }, (_, i) =>
    neighbours((((i + 0.5) * image[axis]) / count) * scale[axis] + offset[axis], input[axis]),
  );
}

function between(values, width, row, column) {
  const top = row.first * width;
  const low = row.second * width;
  const upper = values[top + column.first] + (values[top + column.second] - values[top + column.first]) * column.share;
  const lower = values[low + column.first] + (values[low + column.second] - values[low + column.first]) * column.share;
  return upper + (lower - upper) * row.share;
}

class PhotoMap extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.stage = this.find('stage');
    this.strips = [...root.querySelectorAll('.unseen')];
    this.canvas = this.find('map');
    this.point = null;
    this.stop = new AbortController();
    const { signal } = this.stop;
    for (const kind of ['pointermove', 'pointerdown'])
      this.stage.addEventListener(kind, event => this.over(event), { signal });
    for (const kind of ['pointerleave', 'blur']) this.stage.addEventListener(kind, () => this.leave(), { signal });
    this.stage.addEventListener('keydown', event => this.key(event), { signal });
    onAppearance(() => this.requestDraw(), signal);
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.find('figure'));
  }

  load(header, arrays) {
    this.header = header;
    this.tables = arrays.tables;
    this.values = arrays.values;
    this.showPhotograph(arrays.photo);
    this.drawn = null;
    delete this.stage.dataset.drawn;
    this.leave();
    if (this.values) this.interpolate();
    else {
      page.peaks.delete(this);
      this.canvas.width = 0;
      for (const strip of this.strips) strip.style.display = 'none';
    }
    this.fit();
    announceAppearance();
  }

  showPhotograph(jpeg) {
    const { title, image } = this.header;
    const photo = this.find('photo');
    const name = this.values ? `${title}, with the map over it` : title;
    photo.src = this.replacePhotograph(jpeg);
    photo.alt = name;
    photo.classList.toggle('grey', !!this.values && this.header.unit === 'score');
    photo.classList.toggle('small', Math.max(...image) < 200);
    this.stage.setAttribute('aria-label', `${name}. ${this.values ? HINT : ''}`);
    this.find('figure').classList.toggle('bare', !this.values);
  }

  // The map's value at every pixel of the canvas, once; colours are looked up from it as often as they change.
  interpolate() {
    const { shown, input, peak, unit } = this.header;
    const factor = Math.max(1, LONGEST / Math.max(...shown));
    const [rows, columns] = shown.map(side => Math.max(1, Math.round(side * factor)));
    const down = axisNeighbours(rows, 0, this.header);
    const across = axisNeighbours(columns, 1, this.header);
    this.interpolated = new Float32Array(rows * columns).fill(NaN);
    down.forEach((row, y) => {
      if (!row) return;
      across.forEach((column, x) => {
        if (column) this.interpolated[y * columns + x] = between(this.values, input[1], row, column);
      });
    });
    this.canvas.width = columns;
    this.canvas.height = rows;
    this.pixels = new ImageData(columns, rows);
    page.peaks.set(this, { peak, unit });
    this.hatch(down, across);
  }

  // What the model did not see lies around one rectangle.
  hatch(down, across) {
    const first = axis => (axis.findIndex(Boolean) / axis.length) * 100;
    const end = axis => ((axis.findLastIndex(Boolean) + 1) / axis.length) * 100;
    const unseen = hatchAround(this.strips, [first(down), first(across), end(down), end(across)]);
    this.find('gap').style.display = unseen ? 'flex' : 'none';
  }

  fit() {
    if (!this.header) return;
    const [height, width] = this.header.image;
    const room = this.find('figure').clientWidth;
    const wide = Math.min(room, (Math.max(240, window.innerHeight * 0.68) * width) / height);
    this.stage.style.width = `${Math.max(1, wide)}px`;
    this.stage.style.height = `${Math.max(1, (wide * height) / width)}px`;
    this.placeCross();
  }

  requestDraw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  // The two ends of the colours, in multiples of the unit; only maps in the same unit can share them.
  ends() {
    const { peak, highest, lowest, unit } = this.header;
    const { scale } = page.appearance;
    if (unit !== 'score' && scale === 'stretch' && lowest < highest) return [lowest, highest];
    const alike = [...page.peaks.values()].filter(other => other.unit === unit).map(other => other.peak);
    const top = scale === 'one' ? Math.max(...alike) : scale === 'own' ? peak : highest;
    return [unit === 'score' ? -top : 0, top];
  }

  draw() {
    if (!this.values) return;
    const { opacity, colormap } = page.appearance;
    const { colormaps, unit } = this.header;
    const [low, top] = this.ends();
    this.canvas.style.opacity = opacity;
    const drawn = `${colormap} ${low} ${top}`;
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    const colours = namedTable(this.tables, colormaps, colormap);
    this.paint(colours, low, top);
    paintRamp(this.find('bar'), colours);
    const digits = top - low < 0.2 ? 2 : undefined;
    this.find('low').textContent = inUnit(low, unit, digits);
    this.find('middle').textContent = inUnit((low + top) / 2, unit, digits);
    const above = this.shareAbove(top);
    this.find('high').textContent = scaleEnd(inUnit(top, unit, digits), above > 0);
    this.find('what').textContent =
      UNITS[unit].legend + (above > 0 ? `; ${percent(above)} of the picture is above` : '');
    this.stage.dataset.drawn = drawn;
  }

  // The share of what is seen whose value lies above the end of the colours.
  shareAbove(top) {
    const end = top * this.header.unitValue * (1 + 1e-6);
    let [seen, above] = [0, 0];
    for (const value of this.interpolated) {
      if (Number.isNaN(value)) continue;
      seen += 1;
      if (Math.abs(value) > end) above += 1;
    }
    return seen ? above / seen : 0;
  }

  paint(colours, low, top) {
    const { unitValue } = this.header;
    const pixels = new Uint32Array(this.pixels.data.buffer);
    const factor = top > low ? 255 / ((top - low) * unitValue) : 0;
    this.interpolated.forEach((value, i) => {
      if (Number.isNaN(value)) {
        pixels[i] = 0;
        return;
      }
      const colour = colours[clamp((value - low * unitValue) * factor, 0, 255) | 0];
      // Where there is no evidence either way the photograph shows.
      pixels[i] =
        low < 0 ? withAlpha(colour, Math.sqrt(Math.min(1, Math.abs(value) / (top * unitValue))) * 255) : colour;
    });
    this.canvas.getContext('2d').putImageData(this.pixels, 0, 0);
  }

  over(event) {
    if (!this.values) return;
    const [down, across] = shareAt(event, this.stage);
    const [height, width] = this.header.image;
    const place = [down * height, across * width];
    if (this.sees(place)) this.read(...place);
    else this.leave();
  }

  // Whether the model saw a place of the picture; elsewhere there is nothing to read.
  sees(place) {
    const { input, scale, offset } = this.header;
    return place.every((at, axis) => neighbours(at * scale[axis] + offset[axis], input[axis]) !== null);
  }

  // The arrow keys walk from one model pixel to the next.
  key(event) {
    const step = this.values && takeArrow(event);
    if (!step) return;
    const { image, scale } = this.header;
    const far = event.shiftKey ? 8 : 1;
    const [y, x] = this.point ?? [image[0] / 2, image[1] / 2];
    const place = [y + (step[0] * far) / scale[0], x + (step[1] * far) / scale[1]];
    if (this.sees(place)) this.read(...place);
  }

  read(row, column) {
    const { image } = this.header;
    this.point = [clamp(row, 0, image[0] - 1e-6), clamp(column, 0, image[1] - 1e-6)];
    const [y, x] = this.point;
    this.find('reading').textContent = `row ${Math.floor(y) + 1}, column ${Math.floor(x) + 1}: ${this.reading(y, x)}`;
    this.placeCross();
  }

  reading(y, x) {
    const { input, scale, offset, unitValue, unit } = this.header;
    const row = neighbours(y * scale[0] + offset[0], input[0]);
    const column = neighbours(x * scale[1] + offset[1], input[1]);
    const ratio = unitValue > 0 ? between(this.values, input[1], row, column) / unitValue : 0;
    if (Number.isNaN(ratio)) return 'no value here';
    const share = significant((ratio / this.values.length) * 100, 3);
    const perPixel = unit === 'share' ? ` (${share} % per model pixel)` : '';
    return `${inUnit(ratio, unit)} ${UNITS[unit].word}${perPixel}`;
  }

  placeCross() {
    const cross = this.find('cross');
    cross.style.display = this.point && this.values ? 'block' : 'none';
    if (!this.point || !this.values) return;
    const { image, scale } = this.header;
    cross.style.top = `${(this.point[0] / image[0]) * 100}%`;
    cross.style.left = `${(this.point[1] / image[1]) * 100}%`;
    cross.style.height = `${this.stage.clientHeight / (image[0] * scale[0])}px`;
    cross.style.width = `${this.stage.clientWidth / (image[1] * scale[1])}px`;
  }

  leave() {
    this.point = null;
    this.find('reading').textContent = this.values ? HINT : '';
    this.placeCross();
  }

  destroy() {
    this.stop.abort();
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
    page.peaks.delete(this);
    announceAppearance();
  }
}

export default mount(PhotoMap);
