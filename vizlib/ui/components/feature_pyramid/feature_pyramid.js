const VIEWS = {
  colours: [
    'Colours',
    'The three directions in which the tokens of a stage differ most, as red, green and blue: like colours are like tokens.',
  ],
  norm: ['Norm', 'The length of each token, dark to bright from the shortest to the longest of its stage.'],
  channels: ['Channels', 'The channels that vary most, each scaled to itself: 16 of a stage.'],
  similarity: [
    'Similarity',
    'How alike the token under the pointer and all others of its stage are, once their mean is taken off: the cosine, blue to red.',
  ],
  rollout: [
    'Rollout',
    'Where the answer came from, walked back from the class token to each stage: a share for every cell.',
  ],
};
const HINT = 'Point at a cell, or move it with the arrow keys.';

// The spans of one axis: what cells [first, last) reach on the grid below, and on the grid above. Mirrors vizlib/analysis/pyramid.py.
function below(spans, [first, last]) {
  let low = Infinity;
  let high = 0;
  for (let i = first; i < last; i++) {
    low = Math.min(low, spans[2 * i]);
    high = Math.max(high, spans[2 * i + 1]);
  }
  return first < last ? [low, high] : [0, 0];
}
function above(spans, [first, last]) {
  let low = -1;
  let high = 0;
  if (first < last)
    for (let i = 0; 2 * i < spans.length; i++)
      if (spans[2 * i] < last && spans[2 * i + 1] > first) {
        if (low < 0) low = i;
        high = i + 1;
      }
  return low < 0 ? [0, 0] : [low, high];
}
function covered(scales, from, [top, left, bottom, right], to) {
  let rows = [top, bottom];
  let columns = [left, right];
  for (let i = from; i > to; i--) {
    rows = below(scales[i].rows, rows);
    columns = below(scales[i].columns, columns);
  }
  for (let i = from + 1; i <= to; i++) {
    rows = above(scales[i].rows, rows);
    columns = above(scales[i].columns, columns);
  }
  return [rows[0], columns[0], rows[1], columns[1]];
}

class Pyramid {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.at = null;
    this.colours = palette(arrays.table);
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = photograph(arrays.photo);
    this.groups = header.groups.map((group, g) => ({
      ...group,
      scales: [
        { grid: group.size },
        ...group.levels.map((level, i) => ({
          ...level,
          rows: arrays[`${g}.${i}.rows`],
          columns: arrays[`${g}.${i}.columns`],
          pca: arrays[`${g}.${i}.pca`],
          norm: arrays[`${g}.${i}.norm`],
          values: arrays[`${g}.${i}.values`],
          low: arrays[`${g}.${i}.low`],
          high: arrays[`${g}.${i}.high`],
          order: arrays[`${g}.${i}.order`],
          rollout: arrays[`${g}.${i}.rollout`],
        })),
      ],
    }));
    const known = Object.entries(VIEWS).filter(
      ([name]) => name !== 'rollout' || this.groups.some(group => group.scales.some(one => one.rollout)),
    );
    if (header.view !== this.given) {
      this.given = header.view;
      this.view = header.view;
    }
    if (!known.some(([name]) => name === this.view)) this.view = 'colours';
    choices(
      this.find('views'),
      known.map(([name, [text, title]]) => [name, text, title]),
      this.view,
      'What to draw of each stage',
      name => {
        this.view = name;
        this.draw();
        this.tell('view', name);
      },
    );
    this.build();
    this.terms();
    this.draw();
    this.show();
  }

  build() {
    this.panels = [];
    const figure = (g, level, name, facts) => {
      const panel = el('figure', 'panel');
      const caption = el('figcaption');
      const stage = el('div', 'stage');
      const mark = el('i', 'mark');
      caption.append(el('b', '', name), ...facts.map(text => el('span', '', text)));
      stage.tabIndex = 0;
      stage.setAttribute('role', 'application');
      stage.setAttribute('aria-label', `${name}, ${facts.join(', ')}. ${HINT}`);
      stage.style.aspectRatio = `${this.groups[g].size[1]} / ${this.groups[g].size[0]}`;
      const picture = level ? el('canvas') : el('img');
      if (!level) {
        picture.src = this.url;
        picture.alt = this.header.title;
        stage.dataset.drawn = 'photo';
      }
      stage.append(picture, mark);
      panel.append(caption, stage);
      const one = { g, level, panel, stage, picture, mark };
      stage.addEventListener('pointermove', e => this.over(one, e));
      stage.addEventListener('pointerdown', e => this.over(one, e));
      stage.addEventListener('pointerleave', () => this.leave());
      stage.addEventListener('keydown', e => this.key(one, e));
      stage.addEventListener('blur', () => this.leave());
      this.panels.push(one);
      return panel;
    };
    const [h, w] = this.groups[0].size;
    const all = [figure(0, 0, 'The picture', [`${h} × ${w} pixels,`, `as ${this.groups[0].title} gets it`])];
    this.groups.forEach((group, g) =>
      group.levels.forEach((level, i) => {
        const several = group.levels.length > 1;
        const name = several ? `Stage ${i + 1}` : group.title;
        const facts = [`${level.grid[0]} × ${level.grid[1]} cells of ${level.cell} px`, `${level.channels} channels`];
        const panel = figure(g, i + 1, name, facts);
        if (g && !i) panel.classList.add('first');
        all.push(panel);
      }),
    );
    this.find('panels').replaceChildren(...all);
  }

  terms() {
    const parts = [];
    const light = one => on => one.panel.classList.toggle('lit', on);
    for (const one of this.panels.filter(one => !one.g)) {
      const { grid, channels } = this.groups[0].scales[one.level];
      parts.push(...(parts.length ? [' → '] : []), [
        one.level ? `${grid[0]} × ${grid[1]} × ${channels}` : `${grid[0]} × ${grid[1]} × 3 pixels`,
        light(one),
      ]);
    }
    const single = this.panels.find(one => one.g);
    if (single) {
      const { grid, channels } = this.groups[single.g].scales[single.level];
      parts.push(`    ${this.groups[single.g].title}, one scale from start to end: `, [
        `${grid[0]} × ${grid[1]} × ${channels}`,
        light(single),
      ]);
    }
    formula(this.find('terms'), parts);
  }

  tokens(scale) {
    // unit tokens without what all have in common, channel by channel
    if (scale.unit) return scale.unit;
    const cells = scale.grid[0] * scale.grid[1];
    const unit = new Float32Array(scale.channels * cells);
    const size = new Float32Array(cells);
    for (let c = 0; c < scale.channels; c++) {
      const step = (scale.high[c] - scale.low[c]) / 65535;
      let mean = 0;
      for (let i = 0; i < cells; i++) mean += scale.values[c * cells + i] / cells;
      for (let i = 0; i < cells; i++) {
        const v = (scale.values[c * cells + i] - mean) * step;
        unit[c * cells + i] = v;
        size[i] += v * v;
      }
    }
    for (let i = 0; i < cells; i++) size[i] = size[i] > 0 ? 1 / Math.sqrt(size[i]) : 0;
    for (let c = 0; c < scale.channels; c++) for (let i = 0; i < cells; i++) unit[c * cells + i] *= size[i];
    return (scale.unit = unit);
  }

  draw() {
    this.find('about').textContent = VIEWS[this.view][1];
    for (const one of this.panels) if (one.level) this.drawLevel(one);
  }

  drawLevel(one) {
    const scale = this.groups[one.g].scales[one.level];
    const [rows, columns] = scale.grid;
    const cells = rows * columns;
    one.stage.classList.toggle('mosaic', this.view === 'channels');
    one.stage.dataset.drawn = this.view;
    if (this.view === 'colours')
      paint(
        one.picture,
        rows,
        columns,
        i => (0xff000000 | (scale.pca[3 * i + 2] << 16) | (scale.pca[3 * i + 1] << 8) | scale.pca[3 * i]) >>> 0,
      );
    else if (this.view === 'norm')
      paint(one.picture, rows, columns, ramp(scale.norm, this.colours, ...ends(scale.norm)));
    else if (this.view === 'rollout') {
      if (scale.rollout)
        paint(one.picture, rows, columns, ramp(scale.rollout, this.colours, 0, ends(scale.rollout)[1]));
      else paint(one.picture, rows, columns, () => 0);
    } else if (this.view === 'channels') {
      const side = (scale.side = Math.ceil(Math.sqrt(scale.order.length)));
      paint(one.picture, side * rows, side * columns, i => {
        const y = Math.floor(i / (side * columns));
        const x = i % (side * columns);
        const tile = Math.floor(y / rows) * side + Math.floor(x / columns);
        if (tile >= scale.order.length) return 0;
        return this.colours[scale.values[scale.order[tile] * cells + (y % rows) * columns + (x % columns)] >> 8];
      });
    } else this.drawSimilar(one, scale);
  }

  drawSimilar(one, scale) {
    const [rows, columns] = scale.grid;
    const cells = rows * columns;
    const unit = this.tokens(scale);
    const box = this.boxes?.get(one) ?? [rows >> 1, columns >> 1, (rows >> 1) + 1, (columns >> 1) + 1];
    const cell = Math.min(rows - 1, (box[0] + box[2]) >> 1) * columns + Math.min(columns - 1, (box[1] + box[3]) >> 1);
    const cosine = new Float32Array(cells);
    for (let c = 0; c < scale.channels; c++) {
      const mine = unit[c * cells + cell];
      for (let i = 0; i < cells; i++) cosine[i] += mine * unit[c * cells + i];
    }
    scale.cosine = cosine;
    paint(one.picture, rows, columns, i => signed(cosine[i]));
  }

  over(one, event) {
    const scale = this.groups[one.g].scales[one.level];
    const grid = scale.grid;
    if (one.level && this.view === 'channels') {
      const [y, x] = cellAt(event, one.stage, [grid[0] * scale.side, grid[1] * scale.side]);
      this.tile = Math.floor(y / grid[0]) * scale.side + Math.floor(x / grid[1]);
      this.at = [one, y % grid[0], x % grid[1]];
    } else this.at = [one, ...cellAt(event, one.stage, grid)];
    this.ask();
  }

  key(one, event) {
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const grid = this.groups[one.g].scales[one.level].grid;
    const far = event.shiftKey || !one.level ? Math.ceil(grid[0] / 16) : 1;
    const [, y, x] = this.at && this.at[0] === one ? this.at : [one, grid[0] >> 1, grid[1] >> 1];
    this.at = [
      one,
      Math.max(0, Math.min(grid[0] - 1, y + far * step[0])),
      Math.max(0, Math.min(grid[1] - 1, x + far * step[1])),
    ];
    this.tile = 0;
    this.show();
  }

  leave() {
    this.at = null;
    this.ask();
  }
  ask() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.show();
    });
  }

  // The box of the cell under the pointer on every panel, through the windows of its own model and as a share of the picture on others.
  show() {
    for (const one of this.panels) {
      one.mark.style.display = 'none';
      one.mark.classList.remove('self');
    }
    this.boxes = null;
    if (!this.at) {
      this.find('reading').textContent = HINT;
      return;
    }
    const [from, y, x] = this.at;
    const group = this.groups[from.g];
    const box = [y, x, y + 1, x + 1];
    const pixels = covered(group.scales, from.level, box, 0);
    const [h, w] = group.size;
    const share = [pixels[0] / h, pixels[1] / w, pixels[2] / h, pixels[3] / w];
    this.boxes = new Map();
    for (const one of this.panels) {
      const { scales } = this.groups[one.g];
      const grid = scales[one.level].grid;
      let found;
      if (one.g === from.g) found = one === from ? box : covered(scales, from.level, box, one.level);
      else {
        const size = this.groups[one.g].size;
        const other = [
          Math.floor(share[0] * size[0]),
          Math.floor(share[1] * size[1]),
          Math.ceil(share[2] * size[0]),
          Math.ceil(share[3] * size[1]),
        ];
        found = covered(scales, 0, other, one.level);
      }
      this.boxes.set(one, found);
      one.mark.classList.toggle('self', one === from);
      if (!one.level || this.view !== 'channels')
        place(one.mark, [found[0] / grid[0], found[1] / grid[1], found[2] / grid[0], found[3] / grid[1]]);
      else if (one === from) {
        const side = group.scales[from.level].side;
        const ty = Math.floor(this.tile / side) * grid[0];
        const tx = (this.tile % side) * grid[1];
        place(one.mark, [
          (ty + y) / (grid[0] * side),
          (tx + x) / (grid[1] * side),
          (ty + y + 1) / (grid[0] * side),
          (tx + x + 1) / (grid[1] * side),
        ]);
      }
    }
    if (this.view === 'similarity') for (const one of this.panels) if (one.level) this.drawLevel(one);
    this.find('reading').textContent = this.words(from, y, x, pixels);
  }

  words(from, y, x, [top, left, bottom, right]) {
    const group = this.groups[from.g];
    const scale = group.scales[from.level];
    const several = group.levels.length > 1;
    const name = from.level ? (several ? `Stage ${from.level}` : group.title) : 'Pixel';
    const elsewhere = this.panels
      .filter(one => one.g === from.g && one.level && one !== from)
      .map(one => {
        const [t, l, b, r] = this.boxes.get(one);
        const count = (b - t) * (r - l);
        return `${count} of stage ${one.level}`;
      });
    let text = `${name}, row ${y}, column ${x}`;
    if (from.level)
      text += `: rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1} of the picture (${bottom - top} × ${right - left} px)`;
    if (elsewhere.length) text += `; cells: ${elsewhere.join(', ')}`;
    if (from.level) {
      const i = y * scale.grid[1] + x;
      const cells = scale.grid[0] * scale.grid[1];
      if (this.view === 'similarity')
        text += '. The mean cosine to its stage is ' + number(scale.cosine.reduce((a, b) => a + b, 0) / cells);
      if (this.view === 'norm') text += `. Norm ${number(scale.norm[i])}`;
      if (this.view === 'rollout' && scale.rollout)
        text += `. Share of the walk ${percent(scale.rollout[i])}, ${(scale.rollout[i] * cells).toFixed(1)}× an even one`;
      if (this.view === 'channels' && this.tile < scale.order.length) {
        const c = scale.order[this.tile];
        const value = scale.low[c] + (scale.values[c * cells + i] * (scale.high[c] - scale.low[c])) / 65535;
        text += `. Channel ${c}: ${number(value)}`;
      }
    }
    return text + '.';
  }

  destroy() {
    cancelAnimationFrame(this.frame);
  }
}

export default mount(Pyramid);
