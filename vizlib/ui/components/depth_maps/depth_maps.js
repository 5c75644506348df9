import { colourTable } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { rowOf } from '../_lib/decoder.js';
import { create } from '../_lib/dom.js';
import { capital, percent } from '../_lib/formatting.js';
import { cellAt, cellBox, paint, paintRamp, placeMark, ramp, stepped, takeArrow } from '../_lib/grid.js';

const HINT =
  'Point at a patch, or use the arrow keys on the picture: what it alone would answer. [ and ] change the layer.';

class DepthMaps extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.stage = this.find('stage');
    const at = event => this.read(cellAt(event, this.stage, this.header.grid));
    this.stage.addEventListener('pointermove', at);
    this.stage.addEventListener('pointerdown', at);
    this.stage.addEventListener('pointerleave', () => this.read(null));
    this.stage.addEventListener('blur', () => this.read(null));
    this.stage.addEventListener('keydown', event => this.key(event));
  }

  load(header, arrays) {
    const same = this.header?.layers.length === header.layers.length;
    this.header = header;
    this.arrays = arrays;
    this.colours = colourTable(arrays.viridis);
    const photo = this.find('photo');
    photo.src = this.replacePhotograph(arrays.photo);
    photo.alt = `${header.title}: how probable ${header.label} is to each patch alone`;
    this.stage.style.aspectRatio = `${header.size[1]} / ${header.size[0]}`;
    this.stage.setAttribute('aria-label', `${photo.alt}. ${HINT}`);
    paintRamp(this.find('ramp'), this.colours);
    this.find('high').textContent = percent(header.high);
    this.find('what').textContent = `probability of ${header.label}, of each patch alone; one scale for all layers`;
    this.buttons = header.layers.map((layer, number) => {
      const button = create('button');
      const canvas = create('canvas');
      button.type = 'button';
      button.setAttribute('role', 'radio');
      canvas.style.aspectRatio = `${header.size[1]} / ${header.size[0]}`;
      button.append(canvas, create('span', '', capital(layer)));
      button.onclick = () => this.choose(number);
      this.paint(canvas, number);
      return button;
    });
    this.find('layers').replaceChildren(...this.buttons);
    this.choose(same ? this.layer : header.layers.length - 1);
    this.read(null);
  }

  paint(canvas, layer) {
    const [rows, columns] = this.header.grid;
    paint(canvas, rows, columns, ramp(rowOf(this.arrays.values, layer), this.colours, 0, this.header.high));
  }

  choose(layer) {
    this.layer = layer;
    this.buttons.forEach((button, number) => button.setAttribute('aria-checked', String(number === layer)));
    this.paint(this.find('map'), layer);
    this.stage.dataset.drawn = String(layer + 1);
    this.read(this.cell);
  }

  key(event) {
    if (event.key === '[' || event.key === ']') {
      const last = this.header.layers.length - 1;
      event.preventDefault();
      this.choose(Math.max(0, Math.min(last, this.layer + (event.key === ']' ? 1 : -1))));
      return;
    }
    const step = takeArrow(event);
    if (!step) return;
    const { grid } = this.header;
    this.read(this.cell ? stepped(this.cell, step, grid) : grid.map(side => side >> 1));
  }

  read(cell) {
    this.cell = cell;
    const { grid, label, layers, names } = this.header;
    placeMark(this.find('mark'), cell ? cellBox(cell, grid) : [0, 0, 0, 0]);
    if (!cell) {
      this.find('reading').textContent = HINT;
      return;
    }
    const at = cell[0] * grid[1] + cell[1];
    const value = rowOf(this.arrays.values, this.layer)[at];
    const answer = names[rowOf(this.arrays.answers, this.layer)[at]];
    const own = answer === label ? 'That is its first answer.' : `Its first answer is ${answer}.`;
    const place = `Row ${cell[0] + 1}, column ${cell[1] + 1}`;
    this.find('reading').textContent =
      `${place}, alone after ${layers[this.layer]}: ${label} ${percent(value)}. ${own}`;
  }
}

export default mount(DepthMaps);
