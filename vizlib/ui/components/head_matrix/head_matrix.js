import { Component, mount } from '../_lib/component.js';
import { create } from '../_lib/dom.js';

function square({ title, layers, layer, head, cell }, reading, rest) {
  if (!cell) return create('i', 'none', '');
  const button = create('button', 'cell', '');
  const words = `${layers[layer]}, head ${head + 1}: ${cell.text}`;
  button.type = 'button';
  button.style.background = cell.colour;
  button.setAttribute('aria-label', `${title}, ${words}. Open it in the picture.`);
  button.onpointerenter = button.onfocus = () => {
    reading.textContent = words;
  };
  button.onpointerleave = button.onblur = () => {
    reading.textContent = rest;
  };
  button.onclick = async () => {
    if (document.fullscreenElement) await document.exitFullscreen(); // the picture is beside what fills the screen
    document.dispatchEvent(new CustomEvent('vizlib:open', { detail: { layer, head } }));
  };
  return button;
}

function matrix({ title, note, cells, ends }, layers) {
  const box = create('section', 'one');
  const grid = create('div', 'grid');
  const rest = ends.length ? `from ${ends[0]} to ${ends[1]}` : 'nothing to measure in this model';
  const reading = create('output', 'reading', rest);
  const most = Math.max(...cells.map(row => row.length));
  const heading = head => (most <= 8 || head % 2 === 0 ? head + 1 : '');
  grid.style.gridTemplateColumns = `auto repeat(${most}, minmax(8px, 1fr))`;
  grid.append(
    create('span', 'top', ''),
    ...Array.from({ length: most }, (_, head) => create('span', 'top', heading(head))),
  );
  cells.forEach((row, layer) => {
    const squares = row.map((cell, head) => square({ title, layers, layer, head, cell }, reading, rest));
    grid.append(create('span', '', layers[layer]), ...squares);
  });
  box.append(create('div', 'title', title), create('div', 'note', note), grid, reading);
  return box;
}

class HeadMatrix extends Component {
  static fullScreen = true;

  load({ tables, layers }) {
    this.find('tables').replaceChildren(...tables.map(table => matrix(table, layers)));
  }
}

export default mount(HeadMatrix);
