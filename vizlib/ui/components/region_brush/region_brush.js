const MODES = [
  ['brush', 'Brush', 'Drag over the picture'],
  ['erase', 'Erase', 'Drag over what is too much'],
];
const EMPTY = ['the whole picture', 'the region alone', 'without the region', 'an empty picture'];

class Brush {
  constructor(root) {
    this.find = name => root.querySelector('.' + name);
    this.mode = 'brush';
    this.down = false;
    this.last = null;
    this.stage = this.find('stage');
    this.canvas = root.querySelector('canvas');
    this.pen = this.find('pen');
    this.wide = this.find('wide');
    this.mark = choices(this.find('mode'), MODES, 'brush', 'What the pointer does', name => {
      this.mode = name;
    });
    this.find('clear').onclick = () => {
      this.mask.fill(0);
      this.draw();
      this.done();
    };
    this.find('invert').onclick = () => {
      this.mask.forEach((value, i) => {
        this.mask[i] = value ? 0 : 1;
      });
      this.draw();
      this.done();
    };
    this.stage.addEventListener('pointerdown', event => {
      event.preventDefault();
      this.stage.setPointerCapture(event.pointerId);
      this.stage.focus({ preventScroll: true });
      this.down = true;
      this.last = null;
      this.at(event);
    });
    this.stage.addEventListener('pointermove', event => this.at(event));
    const up = () => {
      if (this.down) {
        this.down = false;
        this.last = null;
        this.done();
      }
    };
    this.stage.addEventListener('pointerup', up);
    this.stage.addEventListener('pointercancel', up);
    this.stage.addEventListener('pointerleave', () => {
      if (!this.down) this.pen.style.display = 'none';
    });
    this.stage.addEventListener('blur', () => {
      this.pen.style.display = 'none';
    });
    this.stage.addEventListener('keydown', event => this.key(event));
    this.wide.addEventListener('input', () => {
      if (this.point) this.show();
    });
    const form = this.find('box');
    form.addEventListener('submit', event => {
      event.preventDefault();
      const [left, top, right, bottom] = ['left', 'top', 'right', 'bottom'].map(
        name => Number(form.elements[name].value) / 100,
      );
      this.rectangle(left, top, right, bottom);
    });
  }

  load(header, arrays) {
    const fresh = this.given !== header.given || !this.mask || this.mask.length !== header.grid[0] * header.grid[1];
    this.header = header;
    if (!same(this.photo, arrays.photo)) {
      this.photo = arrays.photo;
      if (this.url) URL.revokeObjectURL(this.url);
      this.url = photograph(arrays.photo);
      this.stage.querySelector('img').src = this.url;
    }
    if (fresh) {
      this.given = header.given;
      this.mask = new Uint8Array(header.grid[0] * header.grid[1]);
    }
    this.stage.style.aspectRatio = `${header.size[1]} / ${header.size[0]}`;
    this.stage.setAttribute(
      'aria-label',
      `${header.title}: brush a region. Arrow keys move the brush, Enter or Space paints or erases.`,
    );
    this.say();
    if (fresh || !this.stage.dataset.drawn) this.draw();
  }

  say() {
    const { words, rows, label } = this.header;
    const there = words && this.mask.some(Boolean);
    this.find('words').textContent = there ? words : `Nothing is brushed yet. What is watched: ${label}.`;
    this.find('bars').replaceChildren(
      ...EMPTY.map((title, number) => {
        const bar = el('div', there ? 'bar' : 'bar unknown');
        const track = el('div', 'track');
        const row = there ? rows[number] : null;
        bar.append(el('span', '', title), el('span', 'said', row ? percent(row.value) : '–'), track);
        if (row) {
          const fill = el('i');
          const spread = el('u');
          fill.style.width = `${row.value * 100}%`;
          spread.style.left = `${row.low * 100}%`;
          spread.style.width = `${(row.high - row.low) * 100}%`;
          track.append(fill, spread);
          track.title = `${percent(row.low)} to ${percent(row.high)} over what stands for the absence of evidence`;
        }
        return bar;
      }),
    );
  }

  radius() {
    return (this.wide.value / 200) * Math.max(...this.header.grid);
  } // in pixels of the model's input

  at(event) {
    const box = this.stage.getBoundingClientRect();
    const [rows, columns] = this.header.grid;
    this.point = [((event.clientY - box.top) / box.height) * rows, ((event.clientX - box.left) / box.width) * columns];
    this.show();
    if (this.down) this.stroke();
  }

  // From the last point to this one, so that a fast hand leaves no gaps.
  stroke() {
    const [y, x] = this.point;
    const [fromY, fromX] = this.last ?? this.point;
    const far = Math.hypot(y - fromY, x - fromX);
    const steps = Math.max(1, Math.ceil(far / Math.max(0.5, this.radius() / 2)));
    for (let i = 1; i <= steps; i++) this.dab(fromY + ((y - fromY) * i) / steps, fromX + ((x - fromX) * i) / steps);
    this.last = [y, x];
    this.draw();
  }

  dab(y, x) {
    const [rows, columns] = this.header.grid;
    const r = Math.max(0.71, this.radius());
    const value = this.mode === 'brush' ? 1 : 0;
    for (let i = Math.max(0, Math.floor(y - r)); i < Math.min(rows, y + r + 1); i++) {
      for (let j = Math.max(0, Math.floor(x - r)); j < Math.min(columns, x + r + 1); j++) {
        if (Math.hypot(i + 0.5 - y, j + 0.5 - x) <= r) this.mask[i * columns + j] = value;
      }
    }
  }

  key(event) {
    const step = ARROWS[event.key];
    const paints = event.key === 'Enter' || event.key === ' ';
    if (!step && !paints) return;
    event.preventDefault();
    event.stopPropagation();
    const [rows, columns] = this.header.grid;
    const far = Math.max(1, this.radius() / 2);
    const [y, x] = this.point ?? [rows / 2, columns / 2];
    this.point = step
      ? [
          Math.min(rows - 0.5, Math.max(0.5, y + step[0] * far)),
          Math.min(columns - 0.5, Math.max(0.5, x + step[1] * far)),
        ]
      : [y, x];
    this.show();
    if (paints) {
      this.dab(...this.point);
      this.draw();
      this.done();
    }
  }

  rectangle(left, top, right, bottom) {
    const [rows, columns] = this.header.grid;
    this.mask.forEach((_, i) => {
      const y = (Math.floor(i / columns) + 0.5) / rows;
      const x = ((i % columns) + 0.5) / columns;
      this.mask[i] = y >= top && y < bottom && x >= left && x < right ? 1 : 0;
    });
    this.draw();
    this.done();
  }

  show() {
    const [rows, columns] = this.header.grid;
    const r = Math.max(0.71, this.radius());
    Object.assign(this.pen.style, {
      display: 'block',
      top: `${(this.point[0] / rows) * 100}%`,
      left: `${(this.point[1] / columns) * 100}%`,
      width: `${((2 * r) / columns) * 100}%`,
      height: `${((2 * r) / rows) * 100}%`,
    });
  }

  // What is outside of the region is dimmed, once there is one.
  draw() {
    const [rows, columns] = this.header.grid;
    const any = this.mask.some(Boolean);
    paint(this.canvas, rows, columns, cell => (!any || this.mask[cell] ? 0 : 0xb0000000));
    this.stage.dataset.drawn = String(this.mask.reduce((a, b) => a + b, 0));
  }

  done() {
    const bytes = new Uint8Array(Math.ceil(this.mask.length / 8));
    this.mask.forEach((value, i) => {
      if (value) bytes[i >> 3] |= 128 >> (i & 7);
    });
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    this.now('region', btoa(text));
    if (!this.mask.some(Boolean)) this.say();
  }
}

// A hand that let go wants its answer at once.
export default mount(Brush, (one, { setStateValue }) => {
  one.now = setStateValue;
});
