import { diverging } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { create } from '../_lib/dom.js';
import { cellAt, cellBox, paint, placeMark, stepped, takeArrow } from '../_lib/grid.js';

const HINT = 'Click a patch; or the arrow keys, then Enter.';

class PatchChoice extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.stage = this.find('stage');
    const over = event => this.point(cellAt(event, this.stage, this.header.grid));
    this.stage.addEventListener('pointermove', over);
    this.stage.addEventListener('pointerleave', () => this.point(null));
    this.stage.addEventListener('click', event => {
      over(event);
      this.take();
    });
    this.stage.addEventListener('keydown', event => {
      const step = takeArrow(event);
      const { grid } = this.header;
      if (step) this.point(this.cell ? stepped(this.cell, step, grid) : grid.map(side => side >> 1));
      else if (event.key === 'Enter' || event.key === ' ') {
        event.preventDefault();
        event.stopPropagation();
        this.take();
      }
    });
  }

  load(header, arrays) {
    this.header = header;
    this.values = arrays.values;
    this.chosen = header.chosen;
    const photo = this.find('photo');
    photo.src = this.replacePhotograph(arrays.photo);
    photo.alt = header.title;
    this.stage.style.aspectRatio = `${header.size[1]} / ${header.size[0]}`;
    this.stage.setAttribute('aria-label', `${header.title}, cut into patches. ${header.open ? HINT : ''}`);
    this.drawLines();
    const [rows, columns] = header.grid;
    const map = this.find('map');
    map.style.display = this.values ? 'block' : 'none';
    if (this.values) paint(map, rows, columns, cell => diverging(this.values[cell]));
    this.point(null);
    this.draw();
    this.stage.dataset.drawn = `${header.open ? 'open' : 'shown'} ${this.chosen}`;
  }

  drawLines() {
    const [rows, columns] = this.header.grid;
    const line = 'rgb(255 255 255 / 0.45) 0 1px, transparent 1px';
    const lines = this.find('lines');
    lines.style.backgroundImage = `linear-gradient(to right, ${line}), linear-gradient(to bottom, ${line})`;
    lines.style.backgroundSize = `calc(100% / ${columns}) 100%, 100% calc(100% / ${rows})`;
  }

  point(cell) {
    this.cell = cell;
    placeMark(this.find('here'), cell ? cellBox(cell, this.header.grid) : [0, 0, 0, 0]);
    this.read();
  }

  take() {
    if (!this.header.open || !this.cell) return;
    this.chosen = this.cell[0] * this.header.grid[1] + this.cell[1];
    this.draw();
    this.read();
    this.stage.dataset.drawn = `open ${this.chosen}`;
    this.setState('cell', this.chosen);
  }

  draw() {
    const { grid, right } = this.header;
    const box = cell => (cell < 0 ? [0, 0, 0, 0] : cellBox([Math.floor(cell / grid[1]), cell % grid[1]], grid));
    placeMark(this.find('self'), box(this.chosen));
    const truths = right.map(cell => {
      const mark = create('i', 'mark truth');
      placeMark(mark, box(cell));
      return mark;
    });
    this.find('truths').replaceChildren(...truths);
  }

  read() {
    const { grid, open, names, right, legend } = this.header;
    const at = this.cell ? this.cell[0] * grid[1] + this.cell[1] : -1;
    const name = cell => `row ${Math.floor(cell / grid[1]) + 1}, column ${(cell % grid[1]) + 1}`;
    const parts = [];
    if (at >= 0) parts.push(`${name(at)}${names ? `: ${names[at]}` : ''}. `);
    else if (open) parts.push(`${HINT} `);
    const mine = right.includes(this.chosen);
    if (this.chosen >= 0 && !mine) parts.push(create('b', '', `Yours (orange): ${name(this.chosen)}. `));
    if (right.length) {
      const more = right.length > 1 ? ` and ${right.length - 1} more` : '';
      const said = mine ? `Yours is right (green): ${name(this.chosen)}` : `Right (green): ${name(right[0])}`;
      parts.push(create('b', '', `${said}${more}. `));
    }
    if (legend) parts.push(legend);
    this.find('reading').replaceChildren(...parts);
  }
}

export default mount(PatchChoice);
