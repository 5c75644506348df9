'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const drawn = new Set();
  const config = { displayModeBar: false, responsive: true };

  const ink = () => {
    const style = getComputedStyle(document.documentElement);
    const [text, line] = ['--ink', '--line'].map(name => style.getPropertyValue(name).trim());
    return { text, line };
  };
  const themed = layout => {
    const { text, line } = ink();
    const axes = Object.fromEntries(
      Object.keys(layout)
        .filter(key => /^[xy]axis/.test(key))
        .map(key => [key, { ...layout[key], gridcolor: line, linecolor: line }]),
    );
    return {
      ...layout,
      ...axes,
      template: undefined,
      paper_bgcolor: 'rgba(0,0,0,0)',
      plot_bgcolor: 'rgba(0,0,0,0)',
      font: { color: text },
    };
  };
  const draw = (place, figure) => {
    Plotly.react(place, figure.data, themed(figure.layout), config);
    place.figure = figure;
    drawn.add(place);
  };
  dark.addEventListener('change', () => drawn.forEach(place => draw(place, place.figure)));

  const choose = (buttons, act) => {
    buttons.forEach(button =>
      button.addEventListener('click', () => {
        buttons.forEach(other => other.setAttribute('aria-pressed', String(other === button)));
        act(button);
      }),
    );
    if (buttons.length) buttons[0].click();
  };

  for (const [name, figure] of Object.entries(data.charts)) draw(document.getElementById(`chart-${name}`), figure);

  const clicked = document.getElementById('clicked');
  const showLayers = (key, row, column) => {
    if (!clicked || !data.layers.length) return;
    const [first, second] = key.split('-').map(Number);
    const picture = (model, layer, name) => {
      const figure = document.createElement('figure');
      const image = new Image();
      image.src = data.layers[model][layer];
      image.className = 'cells';
      const caption = document.createElement('figcaption');
      caption.textContent = name;
      figure.append(image, caption);
      return figure;
    };
    const layout = document.getElementById(`cka-${key}`).figure.layout;
    clicked.replaceChildren(
      picture(first, row, `${layout.yaxis.title.text} ${layout.yaxis.ticktext[row]}`),
      picture(second, column, `${layout.xaxis.title.text} ${layout.xaxis.ticktext[column]}`),
    );
  };
  choose([...document.querySelectorAll('[data-cka]')], button => {
    for (const [key, figure] of Object.entries(data.cka[button.dataset.cka])) {
      const place = document.getElementById(`cka-${key}`);
      draw(place, figure);
      place.removeAllListeners('plotly_click');
      place.on('plotly_click', event => showLayers(key, event.points[0].y, event.points[0].x));
    }
  });

  // Places and their like: the pointer's cell on one photograph, and what resembles it on both.
  const canvases = [...document.querySelectorAll('canvas.place')];
  let pair = null;
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const paint = (side, cell) => {
    if (!pair) return;
    canvases.forEach((canvas, other) => {
      const photo = pair.images[other];
      const brush = canvas.getContext('2d');
      const scale = canvas.width / photo.naturalWidth;
      canvas.height = Math.round(photo.naturalHeight * scale);
      brush.drawImage(photo, 0, 0, canvas.width, canvas.height);
      if (cell === null) return;
      const [rows, columns] = pair.grids[other];
      const [height, width] = [canvas.height / rows, canvas.width / columns];
      const count = rows * columns;
      const likeness = pair.likeness[side][other].subarray(cell * count, (cell + 1) * count);
      let best = 0;
      likeness.forEach((value, place) => {
        if (value > likeness[best]) best = place;
        const strength = Math.max(0, value / 127.5 - 1);
        brush.fillStyle = `rgba(12, 16, 20, ${0.75 * (1 - strength)})`;
        // Whole pixels, so that neighbours neither overlap nor leave a seam.
        const [left, top] = [Math.round((place % columns) * width), Math.round(Math.floor(place / columns) * height)];
        const [right, bottom] = [
          Math.round(((place % columns) + 1) * width),
          Math.round((Math.floor(place / columns) + 1) * height),
        ];
        brush.fillRect(left, top, right - left, bottom - top);
      });
      brush.lineWidth = 2;
      for (const [place, colour] of [[best, '#f0be28'], ...(other === side ? [[cell, '#ffffff']] : [])]) {
        brush.strokeStyle = colour;
        brush.strokeRect(
          (place % columns) * width + 1,
          Math.floor(place / columns) * height + 1,
          width - 2,
          height - 2,
        );
      }
    });
  };
  canvases.forEach((canvas, side) => {
    canvas.addEventListener('pointermove', event => {
      if (!pair) return;
      const box = canvas.getBoundingClientRect();
      const [rows, columns] = pair.grids[side];
      const row = Math.min(rows - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * rows)));
      const column = Math.min(columns - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * columns)));
      paint(side, row * columns + column);
    });
  });
  choose([...document.querySelectorAll('[data-pair]')], async button => {
    const chosen = data.pairs[Number(button.dataset.pair)];
    const images = chosen.photos.map(source => Object.assign(new Image(), { src: source }));
    await Promise.all(images.map(image => image.decode()));
    pair = { ...chosen, images, likeness: chosen.likeness.map(row => row.map(bytes)) };
    document
      .querySelectorAll('[data-layer]')
      .forEach(place => (place.textContent = chosen.layers[Number(place.dataset.layer)]));
    const [rows, columns] = chosen.grids[0];
    paint(0, Math.floor(rows / 2) * columns + Math.floor(columns / 2));
  });
})();
