import { Component, mount } from '../_lib/component.js';
import { sameNumbers } from '../_lib/decoder.js';
import { choices, create } from '../_lib/dom.js';
import { percent } from '../_lib/formatting.js';
import { clamp, paint, shareAt, takeArrow } from '../_lib/grid.js';

const MODES = [
  ['brush', 'Brush', 'Drag over the picture'],
  ['erase', 'Erase', 'Drag over what is too much'],
];
const COALITIONS = ['the whole picture', 'the region alone', 'without the region', 'an empty picture'];

class RegionBrush extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.reportNow = (_name, _value) => {};
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
      this.send();
    };
    this.find('invert').onclick = () => {
      this.mask.forEach((value, i) => {
        this.mask[i] = value ? 0 : 1;
      });
      this.draw();
      this.send();
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
        this.send();
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
    this.find('box').addEventListener('submit', event => this.takeRectangle(event));
  }

  load(header, arrays) {
    const fresh = this.given !== header.given || !this.mask || this.mask.length !== header.grid[0] * header.grid[1];
    this.header = header;
    if (!sameNumbers(this.photo, arrays.photo)) {
      this.photo = arrays.photo;
      this.replacePhotograph(arrays.photo);
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
    this.showAnswer();
    if (fresh || !this.stage.dataset.drawn) this.draw();
  }

  showAnswer() {
    const { words, rows, label } = this.header;
    const there = words && this.mask.some(Boolean);
    this.find('words').textContent = there ? words : `Nothing is brushed yet. What is watched: ${label}.`;
    this.find('bars').replaceChildren(
      ...COALITIONS.map((title, number) => {
        const bar = create('div', there ? 'bar' : 'bar unknown');
        const track = create('div', 'track');
        const row = there ? rows[number] : null;
        bar.append(create('span', '', title), create('span', 'said', row ? percent(row.value) : '–'), track);
        if (row) {
          const fill = create('i');
          const spread = create('u');
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

  // In pixels of the model's input.
  radius() {
    return (this.wide.value / 200) * Math.max(...this.header.grid);
  }

  // The pen's, which takes the pixel under it in.
  reach() {
    return Math.max(0.71, this.radius());
  }

  at(event) {
    const [down, across] = shareAt(event, this.stage);
    const [rows, columns] = this.header.grid;
    this.point = [down * rows, across * columns];
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
    const radius = this.reach();
    const value = this.mode === 'brush' ? 1 : 0;
    for (let i = Math.max(0, Math.floor(y - radius)); i < Math.min(rows, y + radius + 1); i++) {
      for (let j = Math.max(0, Math.floor(x - radius)); j < Math.min(columns, x + radius + 1); j++) {
        if (Math.hypot(i + 0.5 - y, j + 0.5 - x) <= radius) this.mask[i * columns + j] = value;
      }
    }
  }

  key(event) {
    const step = takeArrow(event);
    const paints = event.key === 'Enter' || event.key === ' ';
    if (!step && !paints) return;
    event.preventDefault();
    event.stopPropagation();
    const [rows, columns] = this.header.grid;
    const far = Math.max(1, this.radius() / 2);
    const [y, x] = this.point ?? [rows / 2, columns / 2];
    const [down, across] = step ?? [0, 0];
    this.point = [clamp(y + down * far, 0.5, rows - 0.5), clamp(x + across * far, 0.5, columns - 0.5)];
    this.show();
    if (paints) {
      this.dab(...this.point);
      this.draw();
      this.send();
    }
  }

  // The rectangle of the form, in per cent of the picture.
  takeRectangle(event) {
    event.preventDefault();
    const { elements } = event.currentTarget;
    const [left, top, right, bottom] = ['left', 'top', 'right', 'bottom'].map(
      name => Number(elements[name].value) / 100,
    );
    this.rectangle(left, top, right, bottom);
  }

  rectangle(left, top, right, bottom) {
    const [rows, columns] = this.header.grid;
    this.mask.forEach((_, i) => {
      const y = (Math.floor(i / columns) + 0.5) / rows;
      const x = ((i % columns) + 0.5) / columns;
      this.mask[i] = y >= top && y < bottom && x >= left && x < right ? 1 : 0;
    });
    this.draw();
    this.send();
  }

  show() {
    const [rows, columns] = this.header.grid;
    const radius = this.reach();
    Object.assign(this.pen.style, {
      display: 'block',
      top: `${(this.point[0] / rows) * 100}%`,
      left: `${(this.point[1] / columns) * 100}%`,
      width: `${((2 * radius) / columns) * 100}%`,
      height: `${((2 * radius) / rows) * 100}%`,
    });
  }

  // What is outside of the region is dimmed, once there is one.
  draw() {
    const [rows, columns] = this.header.grid;
    const any = this.mask.some(Boolean);
    paint(this.canvas, rows, columns, cell => (!any || this.mask[cell] ? 0 : 0xb0000000));
    this.stage.dataset.drawn = String(this.mask.reduce((a, b) => a + b, 0));
  }

  send() {
    const bytes = new Uint8Array(Math.ceil(this.mask.length / 8));
    this.mask.forEach((value, i) => {
      if (value) bytes[i >> 3] |= 128 >> (i & 7);
    });
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    this.reportNow('region', btoa(text));
    if (!this.mask.some(Boolean)) this.showAnswer();
  }
}

// A hand that let go wants its answer at once.
export default mount(RegionBrush, (brush, { setStateValue }) => {
  brush.reportNow = setStateValue;
});
