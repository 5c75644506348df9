function draw({ title, note, cells, ends }, layers) {
  const make = (kind, name, text) =>
    Object.assign(document.createElement(kind), { className: name, textContent: text ?? '' });
  const box = make('section', 'one');
  const grid = make('div', 'grid');
  const reading = make('output', 'reading');
  const rest = ends.length ? `from ${ends[0]} to ${ends[1]}` : 'nothing to measure in this model';
  const most = Math.max(...cells.map(row => row.length));
  grid.style.gridTemplateColumns = `auto repeat(${most}, minmax(8px, 1fr))`;
  grid.append(
    make('span', 'top'),
    ...Array.from({ length: most }, (_, head) => make('span', 'top', most <= 8 || head % 2 === 0 ? head + 1 : '')),
  );
  cells.forEach((row, layer) => {
    grid.append(make('span', '', layers[layer]));
    row.forEach((cell, head) => {
      if (!cell) {
        grid.append(make('i', 'none'));
        return;
      }
      const button = make('button', 'cell');
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
      button.onclick = () => document.dispatchEvent(new CustomEvent('vizlib:open', { detail: { layer, head } }));
      grid.append(button);
    });
  });
  reading.textContent = rest;
  box.append(make('div', 'title', title), make('div', 'note', note), grid, reading);
  return box;
}

function show(parentElement, { data: bytes }) {
  const data = JSON.parse(new TextDecoder().decode(bytes));
  parentElement.querySelector('.tables').replaceChildren(...data.tables.map(table => draw(table, data.layers)));
}

export default keep(home => home, show);
