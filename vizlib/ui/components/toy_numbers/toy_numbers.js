import { Component, mount } from '../_lib/component.js';
import { create } from '../_lib/dom.js';
import { stepped, takeArrow } from '../_lib/grid.js';

const TALL = 8; // rows from which on the lines of a grid are low

class ToyNumbers extends Component {
  static fullScreen = true;

  load(header, arrays) {
    super.load(header, arrays);
    this.buttons = header.grids.map((grid, index) => grid.numbers.map((text, cell) => this.button(index, cell, text)));
    this.find('grids').replaceChildren(...header.grids.map((grid, index) => this.figure(grid, index)));
    // What each number is a part of, from the sums themselves.
    this.uses = new Map();
    header.grids.forEach((grid, index) =>
      grid.formulas.forEach((parts, cell) =>
        parts.filter(Array.isArray).forEach(([, ...place]) => {
          const name = place.join('.');
          this.uses.set(name, [...(this.uses.get(name) ?? []), [index, cell]]);
        }),
      ),
    );
    this.choose(...header.first);
  }

  button(index, cell, text) {
    const button = create('button', '', text);
    button.type = 'button';
    button.tabIndex = cell ? -1 : 0;
    button.setAttribute('role', 'gridcell');
    button.onclick = () => this.choose(index, cell);
    button.onkeydown = event => {
      const step = takeArrow(event);
      if (!step) return;
      const { columns, numbers } = this.header.grids[index];
      const next = stepped([Math.floor(cell / columns), cell % columns], step, [numbers.length / columns, columns]);
      this.focus(index, next[0] * columns + next[1]);
    };
    return button;
  }

  figure(grid, index) {
    const { columns, numbers } = grid;
    const figure = create('figure', grid.role ? `role-${grid.role}` : '');
    figure.classList.toggle('tall', numbers.length / columns >= TALL);
    const caption = create('figcaption');
    caption.append(create('b', '', grid.title), grid.words);
    const cells = create('div', 'cells');
    cells.setAttribute('role', 'grid');
    cells.setAttribute('aria-label', `${grid.title}: ${grid.words}`);
    cells.style.gridTemplateColumns = `repeat(${columns}, auto)`;
    for (let start = 0; start < numbers.length; start += columns) {
      const row = create('div');
      row.style.display = 'contents';
      row.setAttribute('role', 'row');
      row.append(...this.buttons[index].slice(start, start + columns));
      cells.append(row);
    }
    figure.append(caption, cells);
    return figure;
  }

  focus(index, cell) {
    this.choose(index, cell);
    this.buttons[index][cell].focus();
  }

  choose(index, cell) {
    const grid = this.header.grids[index];
    const parts = grid.formulas[cell];
    const uses = this.uses.get(`${index}.${cell}`) ?? [];
    for (const button of this.buttons.flat()) {
      button.classList.remove('part', 'use');
      button.setAttribute('aria-selected', 'false');
    }
    for (const [, from, at] of parts.filter(Array.isArray)) this.buttons[from][at].classList.add('part');
    for (const [into, at] of uses) this.buttons[into][at].classList.add('use');
    this.buttons[index].forEach((button, at) => {
      button.tabIndex = at === cell ? 0 : -1;
    });
    this.buttons[index][cell].setAttribute('aria-selected', 'true');
    const [row, column] = [Math.floor(cell / grid.columns) + 1, (cell % grid.columns) + 1];
    const where = create('span', 'where', `${grid.title}, row ${row}, column ${column}: `);
    this.find('sum').replaceChildren(
      where,
      ...parts.map((/** @type {any} */ part) => (Array.isArray(part) ? this.link(part) : part)),
    );
    const titles = [...new Set(uses.map(([into]) => this.header.grids[into].title))];
    this.find('uses').textContent = uses.length
      ? `It is part of ${uses.length} ${uses.length === 1 ? 'number' : 'numbers'} of ${titles.join(' and ')}.`
      : '';
    this.root.dataset.drawn = `${index}.${cell}`;
  }

  /** @param {any[]} part */
  link([text, index, cell]) {
    const button = create('button', '', text);
    button.type = 'button';
    button.title = this.header.grids[index].title;
    button.onclick = () => this.focus(index, cell);
    return button;
  }
}

export default mount(ToyNumbers);
