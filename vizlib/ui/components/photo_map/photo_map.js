const HINT = 'Point at the picture, or use the arrow keys on it, to read the map.';
// All maps of a page share how they look; the component "look" sets it, and each map notes its peak for a common scale.
const page = (globalThis.vizlib ??= { look: { opacity: 0.6, colormap: 'viridis', scale: 'own' }, peaks: new Map() });

export function decode(bytes) {
  // mirrors pack in __init__.py
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, false) !== 0x565a4d31) throw new Error('not a photo map');
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  let at = 8 + length;
  let tables = null;
  let values = null;
  if (header.input) {
    const colours = header.colormaps.length * 768;
    const count = header.input[0] * header.input[1];
    tables = bytes.slice(at, at + colours);
    at += colours;
    values = new Float32Array(bytes.slice(at, at + 4 * count).buffer);
    at += 4 * count;
  }
  return { header, tables, values, jpeg: bytes.slice(at, at + header.jpeg) };
}

// For every pixel of the canvas along one axis: the two model pixels around it, how far between them, and whether the model saw it.
export function taps(length, image, input, scale, offset) {
  const first = new Int32Array(length);
  const second = new Int32Array(length);
  const along = new Float32Array(length);
  const seen = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const inside = (((i + 0.5) * image) / length) * scale + offset;
    seen[i] = inside >= 0 && inside < input ? 1 : 0;
    const place = Math.min(Math.max(inside - 0.5, 0), input - 1);
    first[i] = Math.floor(place);
    second[i] = Math.min(first[i] + 1, input - 1);
    along[i] = place - first[i];
  }
  return { first, second, along, seen };
}

const UNITS = {
  share: { legend: 'share of the explanation per pixel, × uniform', word: 'uniform' },
  lift: { legend: 'lift, × what even attention would give', word: 'even attention' },
  score: { legend: 'evidence for the class, in logits: against in blue, for in red', word: 'logits' },
};
const times = (x, digits) => (x === 0 ? '0' : x.toFixed(digits ?? (x < 0.1 ? 3 : x < 10 ? 1 : 0))) + '×';

const told = (x, unit, digits) => (unit === 'score' ? (x === 0 ? '0' : x.toPrecision(2)) : times(x, digits));

class PhotoMap {
  constructor(root) {
    this.find = name => root.querySelector('.' + name);
    this.stage = this.find('stage');
    this.strips = [...root.querySelectorAll('.unseen')];
    this.canvas = this.find('map');
    this.point = null;
    this.stop = new AbortController();
    const signal = { signal: this.stop.signal };
    this.stage.addEventListener('pointermove', e => this.over(e), signal);
    this.stage.addEventListener('pointerdown', e => this.over(e), signal);
    this.stage.addEventListener('pointerleave', () => this.leave(), signal);
    this.stage.addEventListener('blur', () => this.leave(), signal);
    this.stage.addEventListener('keydown', e => this.key(e), signal);
    document.addEventListener('vizlib:look', () => this.ask(), signal);
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.find('figure'));
  }

  load(bytes) {
    if (this.bytes && this.bytes.length === bytes.length && bytes.every((value, i) => value === this.bytes[i])) return;
    this.bytes = bytes;
    const { header, tables, values, jpeg } = decode(bytes);
    Object.assign(this, { header, tables, values });
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(new Blob([jpeg], { type: 'image/jpeg' }));
    const photo = this.find('photo');
    const named = values ? `${header.title}, with the map over it` : header.title;
    photo.src = this.url;
    photo.alt = named;
    photo.classList.toggle('small', Math.max(...header.image) < 200);
    this.stage.setAttribute('aria-label', `${named}. ${values ? HINT : ''}`);
    this.find('figure').classList.toggle('bare', !values);
    this.drawn = null;
    delete this.stage.dataset.drawn;
    this.leave();
    if (values) this.spread();
    else {
      page.peaks.delete(this);
      this.canvas.width = 0;
      for (const strip of this.strips) strip.style.display = 'none';
    }
    this.fit();
    document.dispatchEvent(new CustomEvent('vizlib:look'));
  }

  // The map's value at every pixel of the canvas, once; colours are looked up from it as often as they change.
  spread() {
    const { image, shown, input, scale, offset, peak, unit } = this.header;
    const factor = Math.max(1, 600 / Math.max(...shown));
    const [rows, columns] = shown.map(side => Math.max(1, Math.round(side * factor)));
    const y = taps(rows, image[0], input[0], scale[0], offset[0]);
    const x = taps(columns, image[1], input[1], scale[1], offset[1]);
    const spread = (this.spreadOut = new Float32Array(rows * columns).fill(NaN));
    const v = this.values;
    const w = input[1];
    for (let r = 0; r < rows; r++) {
      if (!y.seen[r]) continue;
      const top = y.first[r] * w;
      const low = y.second[r] * w;
      const down = y.along[r];
      for (let c = 0; c < columns; c++) {
        if (!x.seen[c]) continue;
        const a = x.first[c];
        const b = x.second[c];
        const f = x.along[c];
        const upper = v[top + a] + (v[top + b] - v[top + a]) * f;
        const lower = v[low + a] + (v[low + b] - v[low + a]) * f;
        spread[r * columns + c] = upper + (lower - upper) * down;
      }
    }
    this.canvas.width = columns;
    this.canvas.height = rows;
    this.pixels = new ImageData(columns, rows);
    page.peaks.set(this, { peak, unit });
    this.find('what').textContent = UNITS[unit].legend;
    this.hatch(y.seen, x.seen);
  }

  // What the model did not see lies around one rectangle.
  hatch(rows, columns) {
    const edges = seen => [(seen.indexOf(1) / seen.length) * 100, ((seen.lastIndexOf(1) + 1) / seen.length) * 100];
    const [top, bottom] = edges(rows);
    const [left, right] = edges(columns);
    const strips = [
      [0, 0, 100, top],
      [0, bottom, 100, 100 - bottom],
      [0, top, left, bottom - top],
      [right, top, 100 - right, bottom - top],
    ];
    strips.forEach(([x, y, width, height], i) => {
      const style = this.strips[i].style;
      style.display = width > 0 && height > 0 ? 'block' : 'none';
      style.left = `${x}%`;
      style.top = `${y}%`;
      style.width = `${width}%`;
      style.height = `${height}%`;
    });
    this.find('gap').style.display = this.strips.some(strip => strip.style.display === 'block') ? 'flex' : 'none';
  }

  fit() {
    if (!this.header) return;
    const [height, width] = this.header.image;
    const room = this.find('figure').clientWidth;
    const wide = Math.min(room, (Math.max(240, window.innerHeight * 0.68) * width) / height);
    this.stage.style.width = `${Math.max(1, wide)}px`;
    this.stage.style.height = `${Math.max(1, (wide * height) / width)}px`;
    this.mark();
  }

  ask() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  // The two ends of the colours, in multiples of the unit; only maps in the same unit can share them.
  ends() {
    const { peak, lowest, unit } = this.header;
    const scale = page.look.scale;
    if (unit !== 'score' && scale === 'stretch' && lowest < peak) return [lowest, peak];
    const alike = [...page.peaks.values()].filter(other => other.unit === unit).map(other => other.peak);
    const top = scale === 'one' ? Math.max(...alike) : peak;
    return [unit === 'score' ? -top : 0, top];
  }

  draw() {
    if (!this.values) return;
    const { opacity, colormap } = page.look;
    const [low, top] = this.ends();
    this.canvas.style.opacity = opacity;
    const how = `${colormap} ${low} ${top}`;
    if (this.drawn === how) return;
    this.drawn = how;
    const table = this.tables.subarray(768 * Math.max(0, this.header.colormaps.indexOf(colormap))).subarray(0, 768);
    const colours = new Uint32Array(256);
    for (let i = 0; i < 256; i++)
      colours[i] = (0xff000000 | (table[3 * i + 2] << 16) | (table[3 * i + 1] << 8) | table[3 * i]) >>> 0;
    const out = new Uint32Array(this.pixels.data.buffer);
    const values = this.spreadOut;
    const one = this.header.one;
    const factor = top > low ? 255 / ((top - low) * one) : 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value !== value) {
        out[i] = 0;
        continue;
      }
      const colour = colours[Math.min(255, Math.max(0, (value - low * one) * factor)) | 0];
      // Where there is no evidence either way the photograph shows.
      out[i] =
        low < 0
          ? ((colour & 0xffffff) | ((Math.sqrt(Math.min(1, Math.abs(value) / (top * one))) * 255) << 24)) >>> 0
          : colour;
    }
    this.canvas.getContext('2d').putImageData(this.pixels, 0, 0);
    const bar = new ImageData(256, 1);
    new Uint32Array(bar.data.buffer).set(colours);
    this.find('bar').getContext('2d').putImageData(bar, 0, 0);
    const digits = top - low < 0.2 ? 2 : undefined;
    const { unit } = this.header;
    this.find('low').textContent = told(low, unit, digits);
    this.find('middle').textContent = told((low + top) / 2, unit, digits);
    this.find('high').textContent = told(top, unit, digits);
    this.stage.dataset.drawn = how;
  }

  over(e) {
    if (!this.values) return;
    const box = this.stage.getBoundingClientRect();
    const [height, width] = this.header.image;
    this.read(((e.clientY - box.top) / box.height) * height, ((e.clientX - box.left) / box.width) * width);
  }

  // The arrow keys walk from one model pixel to the next.
  key(e) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    if (!this.values || !step) return;
    e.preventDefault();
    e.stopPropagation();
    const { image, scale } = this.header;
    const far = e.shiftKey ? 8 : 1;
    const [y, x] = this.point ?? [image[0] / 2, image[1] / 2];
    this.read(y + (step[0] * far) / scale[0], x + (step[1] * far) / scale[1]);
  }

  read(y, x) {
    const { image, input, scale, offset, one, unit } = this.header;
    y = Math.min(Math.max(y, 0), image[0] - 1e-6);
    x = Math.min(Math.max(x, 0), image[1] - 1e-6);
    this.point = [y, x];
    const where = `row ${Math.floor(y)}, column ${Math.floor(x)}`;
    const a = taps1(y * scale[0] + offset[0], input[0]);
    const b = taps1(x * scale[1] + offset[1], input[1]);
    if (!a || !b) this.find('reading').textContent = `${where}: not seen by the model`;
    else {
      const v = this.values;
      const w = input[1];
      const upper = v[a[0] * w + b[0]] * (1 - b[2]) + v[a[0] * w + b[1]] * b[2];
      const lower = v[a[1] * w + b[0]] * (1 - b[2]) + v[a[1] * w + b[1]] * b[2];
      const ratio = one > 0 ? (upper * (1 - a[2]) + lower * a[2]) / one : 0;
      const share = unit === 'share' ? ` (${((ratio / v.length) * 100).toPrecision(3)} % per model pixel)` : '';
      this.find('reading').textContent =
        ratio === ratio ? `${where}: ${told(ratio, unit)} ${UNITS[unit].word}${share}` : `${where}: no value here`;
    }
    this.mark();
  }

  mark() {
    const cross = this.find('cross');
    cross.style.display = this.point && this.values ? 'block' : 'none';
    if (!this.point || !this.values) return;
    const { image, scale } = this.header;
    const box = [this.stage.clientHeight, this.stage.clientWidth];
    cross.style.top = `${(this.point[0] / image[0]) * 100}%`;
    cross.style.left = `${(this.point[1] / image[1]) * 100}%`;
    cross.style.height = `${box[0] / (image[0] * scale[0])}px`;
    cross.style.width = `${box[1] / (image[1] * scale[1])}px`;
  }

  leave() {
    this.point = null;
    this.find('reading').textContent = this.values ? HINT : '';
    this.mark();
  }

  destroy() {
    this.stop.abort();
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
    page.peaks.delete(this);
    if (this.url) URL.revokeObjectURL(this.url);
    document.dispatchEvent(new CustomEvent('vizlib:look'));
  }
}

function taps1(inside, input) {
  if (!(inside >= 0 && inside < input)) return null;
  const place = Math.min(Math.max(inside - 0.5, 0), input - 1);
  const first = Math.floor(place);
  return [first, Math.min(first + 1, input - 1), place - first];
}

export default keep(
  home => new PhotoMap(home),
  (map, { data }) => {
    if (data && data.length) map.load(data);
  },
  map => map.destroy(),
);
