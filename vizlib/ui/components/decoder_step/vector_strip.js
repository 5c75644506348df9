import { diverging, withAlpha } from '../_lib/colormaps.js';
import { create } from '../_lib/dom.js';
import { cellAt, cellBox, paint, placeMark, stepped, takeArrow } from '../_lib/grid.js';

// A vector or a matrix as a strip of colours; ``choose(row, column)`` hears of the number that is pointed at.
export class VectorStrip {
  constructor(root, name, choose) {
    this.root = root;
    this.choose = choose;
    this.cell = [0, 0];
    root.tabIndex = 0;
    root.setAttribute('role', 'application');
    root.setAttribute('aria-label', `${name}: arrow keys move from number to number`);
    this.canvas = create('canvas');
    this.mark = create('span', 'mark');
    root.replaceChildren(this.canvas, this.mark);
    root.onpointermove = event => this.go(cellAt(event, root, this.shape));
    root.onclick = event => this.go(cellAt(event, root, this.shape));
    root.onpointerleave = () => {
      if (root.getRootNode().activeElement !== root) this.mark.style.display = 'none';
    };
    root.onfocus = () => this.go(this.cell);
    root.onblur = () => {
      this.mark.style.display = 'none';
    };
    root.onkeydown = event => {
      const step = takeArrow(event);
      if (step) this.go(stepped(this.cell, step, this.shape));
    };
  }

  // value(row, column), with a factor that fades columns which count for little.
  draw(rows, columns, value, fade = _column => 1) {
    this.shape = [rows, columns];
    this.cell = [Math.min(this.cell[0], rows - 1), Math.min(this.cell[1], columns - 1)];
    const values = Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns));
    const peak = values.reduce((most, number) => Math.max(most, Math.abs(number)), 1e-12);
    paint(this.canvas, rows, columns, i => withAlpha(diverging(values[i] / peak), Math.round(255 * fade(i % columns))));
  }

  go(cell) {
    this.cell = cell;
    placeMark(this.mark, cellBox(cell, this.shape));
    this.choose(...cell);
  }
}
