const SHOWS = [
  ['colours', 'Shared colours', 'Three principal components that both layers share, as red, green and blue'],
  ['length', 'Lengths', 'How long the features of each place are, each layer from its lowest to its highest'],
  ['channels', 'Channels', 'The six channels that vary most, each from its lowest to its highest'],
];

class LayerPair {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.panels = [...root.querySelectorAll('.panel')].map((panel, i) => {
      const part = selector => panel.querySelector(selector);
      return {
        panel,
        side: i % 2,
        layer: i < 2,
        stage: part('.stage'),
        image: part('img'),
        canvas: part('canvas'),
        self: part('.self'),
        best: part('.best'),
        name: part('b'),
        facts: part('span'),
      };
    });
    for (const one of this.panels) {
      const point = event => {
        if (one.layer && this.show === 'channels') return;
        const [y, x] = cellAt(event, one.stage, this.grid(one.side));
        this.at(one.side, y, x);
      };
      one.stage.addEventListener('pointermove', point);
      one.stage.addEventListener('pointerdown', point);
      one.stage.addEventListener('keydown', event => {
        const step = ARROWS[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        const [y, x] = this.cell(one.side);
        const [rows, columns] = this.grid(one.side);
        this.at(
          one.side,
          Math.max(0, Math.min(rows - 1, y + step[0])),
          Math.max(0, Math.min(columns - 1, x + step[1])),
        );
      });
    }
    this.slider = root.querySelector('.depth input');
    this.slider.oninput = () => {
      this.pair = Number(this.slider.value);
      this.draw();
      this.told();
    };
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.table = palette(arrays.table);
    (this.urls ?? []).forEach(url => URL.revokeObjectURL(url));
    this.urls = [0, 1].map(side => photograph(arrays[`photo.${side}`]));
    for (const one of this.panels) {
      const [height, width] = header.sizes[one.side];
      one.stage.style.aspectRatio = `${width} / ${height}`;
      one.name.textContent = header.models[one.side];
      if (one.image) {
        one.image.src = this.urls[one.side];
        one.image.alt = header.title;
      }
    }
    this.show = header.view.show;
    const last = header.pairs.length - 1;
    this.pair = header.view.layer < 0 ? last : Math.min(last, header.view.layer);
    const [side, y, x] = header.view.place.split(',').map(Number);
    this.place = { side, y, x }; // in shares of the picture, so that it stays when the grid changes
    choices(this.find('shows'), SHOWS, this.show, 'What is shown of the layers', name => {
      this.show = name;
      this.draw();
      this.told();
    });
    this.slider.max = last;
    this.slider.value = this.pair;
    this.find('depth').style.display = header.single ? 'none' : '';
    this.draw();
  }

  grid(side) {
    return this.header.pairs[this.pair][side].grid;
  }

  // The cell of a side where the place lies.
  cell(side) {
    const [rows, columns] = this.grid(side);
    const clip = (share, count) => Math.max(0, Math.min(count - 1, Math.floor(share * count)));
    return [clip(this.place.y, rows), clip(this.place.x, columns)];
  }

  at(side, y, x) {
    const [rows, columns] = this.grid(side);
    this.place = { side, y: (y + 0.5) / rows, x: (x + 0.5) / columns };
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.likeness();
    });
    this.told();
  }

  told() {
    const { side, y, x } = this.place;
    this.tell('view', { show: this.show, layer: this.pair, place: [side, y.toFixed(4), x.toFixed(4)].join(',') });
  }

  draw() {
    const { header, arrays, pair } = this;
    const tiled = this.show === 'channels';
    for (const one of this.panels.slice(0, 2)) {
      const facts = header.pairs[pair][one.side];
      const get = name => arrays[`${pair}.${one.side}.${name}`];
      one.facts.textContent = `${facts.layer} · ${facts.cells.join(' × ')} × ${facts.channels}`;
      one.facts.title = `${percent(facts.depth)} of the way up, ${facts.cells.join(' × ')} places with ${facts.channels} channels each`;
      one.panel.classList.toggle('tiled', tiled);
      one.stage.title = tiled ? `Channels ${facts.numbers.join(', ')}` : '';
      if (this.show === 'colours') {
        const [rows, columns] = facts.grid;
        const rgb = get('colours');
        paint(
          one.canvas,
          rows,
          columns,
          i => (0xff000000 | (rgb[3 * i + 2] << 16) | (rgb[3 * i + 1] << 8) | rgb[3 * i]) >>> 0,
        );
      } else if (this.show === 'length') {
        const lengths = get('lengths');
        const [rows, columns] = lengths.shape;
        paint(one.canvas, rows, columns, ramp(lengths, this.table, ...ends(lengths)));
      } else this.tiles(one.canvas, get('channels'));
    }
    this.likeness();
  }

  // Channels in rows of three, a clear line between them.
  tiles(canvas, values) {
    const [count, rows, columns] = values.shape;
    const down = Math.ceil(count / 3);
    const wide = 3 * (columns + 1) - 1;
    const tall = down * (rows + 1) - 1;
    paint(canvas, tall, wide, i => {
      const y = Math.floor(i / wide);
      const x = i % wide;
      const tile = Math.floor(y / (rows + 1)) * 3 + Math.floor(x / (columns + 1));
      const inner = [y % (rows + 1), x % (columns + 1)];
      if (tile >= count || inner[0] === rows || inner[1] === columns) return 0;
      const value = values[(tile * rows + inner[0]) * columns + inner[1]];
      return (0xff000000 | (value << 16) | (value << 8) | value) >>> 0;
    });
  }

  // How like each cell of ``other`` is to a cell of ``side``.
  row(side, other, cell) {
    const values = this.arrays[`${this.pair}.like.${side <= other ? `${side}${other}` : `${other}${side}`}`];
    const [rows, columns] = values.shape;
    return side <= other
      ? values.subarray(cell * columns, (cell + 1) * columns)
      : Float32Array.from({ length: rows }, (_, i) => values[i * columns + cell]);
  }

  likeness() {
    const { side } = this.place;
    const [y, x] = this.cell(side);
    const [, columns] = this.grid(side);
    const cell = y * columns + x;
    const said = [];
    const box = (at, rows, wide) => [
      Math.floor(at / wide) / rows,
      (at % wide) / wide,
      (Math.floor(at / wide) + 1) / rows,
      ((at % wide) + 1) / wide,
    ];
    for (const one of this.panels) {
      const [rows, wide] = this.grid(one.side);
      const row = this.row(side, one.side, cell);
      const own = one.side === side;
      const hidden = one.layer && this.show === 'channels';
      let best = -1;
      for (let i = 0; i < row.length; i++) if (!(own && i === cell) && (best < 0 || row[i] > row[best])) best = i;
      one.best.style.display = one.self.style.display = 'none';
      if (!hidden) {
        if (best >= 0) place(one.best, box(best, rows, wide));
        if (own) place(one.self, box(cell, rows, wide));
      }
      if (one.layer) continue;
      paint(one.canvas, rows, wide, i => (Math.round(205 * (1 - Math.max(0, row[i] / 127.5 - 1))) << 24) | 0x14100c);
      one.stage.dataset.drawn = `${this.pair} ${side} ${cell}`;
      if (best >= 0)
        said.push(
          `${own ? 'elsewhere in ' : 'in '}${this.header.models[one.side]} the place at row ${Math.floor(best / wide) + 1}, column ${(best % wide) + 1} (likeness ${(row[best] / 127.5 - 1).toFixed(2)})`,
        );
    }
    const facts = this.header.pairs[this.pair][side];
    this.find('reading').textContent =
      `Most like row ${y + 1}, column ${x + 1} of ${this.header.models[side]} ${facts.layer} (white frame): ${said.join(', and ')}. Yellow frames are around them; the darker, the less alike.`;
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    (this.urls ?? []).forEach(url => URL.revokeObjectURL(url));
  }
}

export default mount(LayerPair);
