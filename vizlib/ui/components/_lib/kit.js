const REST = 350; // milliseconds without a change before the page hears of it

function decode(bytes) {
  // mirrors pack in vizlib/ui/packing.py
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, false) !== 0x565a5031) throw new Error('not a packed message');
  const length = view.getUint32(4, true);
  const start = 8 + length;
  const arrays = {};
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const kinds = { u1: Uint8Array, '<u2': Uint16Array, '<i4': Int32Array, '<f4': Float32Array };
  for (const [name, [kind, shape, at]] of Object.entries(header.arrays)) {
    const Kind = kinds[kind];
    const count = shape.reduce((a, b) => a * b, 1);
    const from = start + at;
    const flat = new Kind(bytes.slice(from, from + count * Kind.BYTES_PER_ELEMENT).buffer);
    flat.shape = shape;
    arrays[name] = flat;
  }
  return { header, arrays };
}

function el(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function palette(table) {
  const colours = new Uint32Array(256);
  for (let i = 0; i < 256; i++)
    colours[i] = (0xff000000 | (table[3 * i + 2] << 16) | (table[3 * i + 1] << 8) | table[3 * i]) >>> 0;
  return colours;
}

// Blue below zero, white, red above: -1 to 1.
function signed(value) {
  const t = Math.max(-1, Math.min(1, value));
  const end = t < 0 ? [33, 102, 172] : [178, 24, 43];
  const f = Math.abs(t);
  const [r, g, b] = end.map(one => Math.round(247 + (one - 247) * f));
  return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
}

// Paint rows x columns cells; colour(cell) gives a packed pixel, 0 is clear.
function paint(canvas, rows, columns, colour) {
  canvas.height = rows;
  canvas.width = columns;
  const pixels = new ImageData(columns, rows);
  const out = new Uint32Array(pixels.data.buffer);
  for (let i = 0; i < out.length; i++) out[i] = colour(i);
  canvas.getContext('2d').putImageData(pixels, 0, 0);
}

function ramp(values, colours, low, high) {
  const factor = high > low ? 255 / (high - low) : 0;
  return i => colours[Math.max(0, Math.min(255, (values[i] - low) * factor)) | 0];
}

function ends(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// A box (top, left, bottom, right) in shares of a panel's sides.
function place(mark, [top, left, bottom, right]) {
  mark.style.display = bottom > top && right > left ? 'block' : 'none';
  Object.assign(mark.style, {
    top: `${top * 100}%`,
    left: `${left * 100}%`,
    height: `${(bottom - top) * 100}%`,
    width: `${(right - left) * 100}%`,
  });
}

function cellAt(event, element, [rows, columns]) {
  const box = element.getBoundingClientRect();
  const clip = (value, count) => Math.max(0, Math.min(count - 1, Math.floor(value * count)));
  return [clip((event.clientY - box.top) / box.height, rows), clip((event.clientX - box.left) / box.width, columns)];
}

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// A row of buttons of which one is on; choose(name) is called when another is taken.
function choices(root, items, chosen, label, choose) {
  root.classList.add('choices');
  root.setAttribute('role', 'radiogroup');
  root.setAttribute('aria-label', label);
  root.replaceChildren(
    ...items.map(([name, text, title]) => {
      const button = el('button', '', text);
      button.type = 'button';
      button.dataset.name = name;
      if (title) button.title = title;
      button.setAttribute('role', 'radio');
      button.onclick = () => {
        mark(name);
        choose(name);
      };
      return button;
    }),
  );
  const mark = name =>
    [...root.children].forEach(one => one.setAttribute('aria-checked', String(one.dataset.name === String(name))));
  mark(chosen);
  return mark;
}

// A formula: parts are texts, or [text, light] that call light(true) under the pointer and light(false) after.
function formula(root, parts) {
  root.classList.add('formula');
  root.replaceChildren(
    ...parts.map(part => {
      if (typeof part === 'string') return el('span', '', part);
      const term = el('span', 'term', part[0]);
      term.tabIndex = 0;
      for (const [on, off] of [
        ['pointerenter', 'pointerleave'],
        ['focus', 'blur'],
      ]) {
        term.addEventListener(on, () => part[1](true));
        term.addEventListener(off, () => part[1](false));
      }
      return term;
    }),
  );
}

function number(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  return size >= 100
    ? value.toFixed(0)
    : size >= 1
      ? value.toFixed(2)
      : size >= 0.001
        ? value.toFixed(3)
        : value.toExponential(1);
}

const percent = share => (share > 0 && share < 0.001 ? 'under 0.1' : (share * 100).toFixed(share < 0.1 ? 1 : 0)) + ' %';

function large(value) {
  for (const [size, word] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ])
    if (value >= size) return (value / size).toPrecision(3) + ' ' + word;
  return value.toPrecision(3) + ' ';
}

function photograph(jpeg) {
  return URL.createObjectURL(new Blob([jpeg], { type: 'image/jpeg' }));
}

const same = (a, b) => a && a.length === b.length && a.every((value, i) => value === b[i]);

// also(one, args) takes what a component needs of a call beside its data.
function mount(Kind, also) {
  return keep(
    home => new Kind(home.querySelector('.kit')),
    (one, args) => {
      const { data, setStateValue } = args;
      one.tell = (name, value) => {
        clearTimeout(one.waiting);
        one.waiting = setTimeout(() => setStateValue(name, value), REST);
      };
      also?.(one, args);
      if (data && data.length && !same(one.bytes, data)) {
        one.bytes = data;
        const { header, arrays } = decode(data);
        one.load(header, arrays);
      }
    },
    one => {
      clearTimeout(one.waiting);
      if (one.url) URL.revokeObjectURL(one.url);
      one.destroy?.();
    },
  );
}
