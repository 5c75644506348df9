import { OKABE_ITO } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { create } from '../_lib/dom.js';
import { percent } from '../_lib/formatting.js';
import { cellAt } from '../_lib/grid.js';

const HUES = [...Object.values(OKABE_ITO), '#999999'];

class Segmentation extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.count = this.find('count');
    this.tint = this.find('tint');
    this.count.addEventListener('input', () => {
      this.groups = Number(this.count.value);
      this.draw();
      this.report('groups', this.groups);
    });
    this.tint.addEventListener('change', () => this.draw());
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    if (header.chosen !== this.given) {
      this.given = header.chosen;
      this.groups = header.chosen;
    }
    this.replacePhotograph(arrays.photo);
    this.count.min = header.counts[0];
    this.count.max = header.counts.at(-1);
    this.panels = header.fields.map((field, index) => {
      const panel = create('figure', 'panel');
      const caption = create('figcaption');
      const stage = create('div', 'stage');
      const image = create('img');
      const canvas = create('canvas');
      const facts = create('span', '', field.facts);
      const ratio = create('em');
      caption.append(create('b', '', field.title), facts, ratio);
      image.src = this.url;
      image.alt = `${header.title}, grouped by ${field.title}`;
      stage.style.aspectRatio = `${header.size[1]} / ${header.size[0]}`;
      stage.append(image, canvas);
      panel.append(caption, stage);
      const entry = { panel, stage, canvas, ratio, index, labels: arrays[`${index}.labels`] };
      stage.addEventListener('pointermove', event => {
        this.at = cellAt(event, stage, field.grid).map((v, axis) => (v + 0.5) / field.grid[axis]);
        this.requestDraw();
      });
      stage.addEventListener('pointerleave', () => {
        this.at = null;
        this.requestDraw();
      });
      return entry;
    });
    this.find('panels').replaceChildren(...this.panels.map(entry => entry.panel));
    this.draw();
  }

  requestDraw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    this.count.value = this.groups;
    this.find('count-shown').textContent = this.groups;
    const shares = [];
    for (const { index, labels: all, ratio: ratioText, canvas, stage } of this.panels) {
      const field = this.header.fields[index];
      const [rows, columns] = field.grid;
      const which = this.header.counts.indexOf(this.groups);
      const labels = all.subarray(which * rows * columns, (which + 1) * rows * columns);
      const ratio = field.ratios[which];
      ratioText.textContent =
        ratio === null
          ? 'no boundary or no edge to compare'
          : `along its boundaries the picture is ${ratio.toFixed(2)}× as steep as on average`;
      const chosen = this.at ? labels[Math.floor(this.at[0] * rows) * columns + Math.floor(this.at[1] * columns)] : -1;
      if (this.at)
        shares.push(`${field.title} ${percent(labels.filter(label => label === chosen).length / labels.length)}`);
      this.paint(canvas, labels, rows, columns, chosen);
      stage.dataset.drawn = `${this.groups}`;
    }
    this.find('reading').textContent = shares.length
      ? `The group here covers: ${shares.join(', ')} of the picture.`
      : 'Point at a picture to single out the group there, in all of them.';
  }

  // The groups as tints, all but the chosen one dimmed, and their boundaries.
  paint(canvas, labels, rows, columns, chosen) {
    const size = 480;
    const ratio = this.header.size[0] / this.header.size[1];
    const width = ratio > 1 ? size / ratio : size;
    const height = width * ratio;
    canvas.width = Math.round(width);
    canvas.height = Math.round(height);
    const pen = canvas.getContext('2d');
    const dy = canvas.height / rows;
    const dx = canvas.width / columns;
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++) {
        const label = labels[y * columns + x];
        if (chosen >= 0 && label !== chosen) pen.fillStyle = 'rgb(0 0 0 / .6)';
        else if (this.tint.checked) pen.fillStyle = `${HUES[label % 8]}88`;
        else continue;
        pen.fillRect(
          Math.floor(x * dx),
          Math.floor(y * dy),
          Math.ceil((x + 1) * dx) - Math.floor(x * dx),
          Math.ceil((y + 1) * dy) - Math.floor(y * dy),
        );
      }
    const lines = this.boundaries(labels, rows, columns, dy, dx);
    pen.lineCap = 'square';
    pen.strokeStyle = '#000';
    pen.lineWidth = 5;
    pen.stroke(lines);
    pen.strokeStyle = '#ffd23f';
    pen.lineWidth = 2.5;
    pen.stroke(lines);
  }

  boundaries(labels, rows, columns, dy, dx) {
    const lines = new Path2D();
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++) {
        const label = labels[y * columns + x];
        if (x + 1 < columns && labels[y * columns + x + 1] !== label) {
          lines.moveTo((x + 1) * dx, y * dy);
          lines.lineTo((x + 1) * dx, (y + 1) * dy);
        }
        if (y + 1 < rows && labels[(y + 1) * columns + x] !== label) {
          lines.moveTo(x * dx, (y + 1) * dy);
          lines.lineTo((x + 1) * dx, (y + 1) * dy);
        }
      }
    return lines;
  }

  destroy() {
    cancelAnimationFrame(this.frame);
  }
}

export default mount(Segmentation);
