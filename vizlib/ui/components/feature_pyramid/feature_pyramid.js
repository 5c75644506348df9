import { colourTable, diverging, rgbPixel } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { choices, create, formula } from '../_lib/dom.js';
import { number, percent } from '../_lib/formatting.js';
import { cellAt, cellBox, extent, paint, placeMark, ramp, stepped, takeArrow } from '../_lib/grid.js';
import { MapBar } from '../_lib/map_bar.js';

const VIEWS = {
  colours: [
    'Colours',
    'The three directions in which the tokens of a stage differ most, as red, green and blue: ' +
      'like colours are like tokens.',
  ],
  norm: ['Norm', 'The length of each token, dark to bright from the shortest to the longest of its stage.'],
  channels: ['Channels', 'The channels that vary most, each scaled to itself: 16 of a stage.'],
  similarity: [
    'Similarity',
    'How alike the token under the pointer and all others of its stage are, once their mean is taken off: ' +
      'the cosine, blue to red.',
  ],
  rollout: [
    'Rollout',
    'Where the answer came from, walked back from what the head reads to each stage: a share for every cell.',
  ],
};
const HINT = 'Point at a cell, or move it with the arrow keys.';
const FIRST = [0.4, 0.33]; // where the cell lies that is lit at first: on an eye of the first sample

// The spans of one axis: what cells [first, last) reach on the grid below, and on the grid above. Mirrors
// vizlib/analysis/features/feature_pyramid.py.
function below(spans, ends) {
  const [first, last] = ends;
  let low = Infinity;
  let high = 0;
  for (let i = first; i < last; i++) {
    low = Math.min(low, spans[2 * i]);
    high = Math.max(high, spans[2 * i + 1]);
  }
  return first < last ? [low, high] : [0, 0];
}
function above(spans, ends) {
  const [first, last] = ends;
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
function covered(scales, from, box, to) {
  const [top, left, bottom, right] = box;
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

class FeaturePyramid extends Component {
  static fullScreen = true;

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.colours = colourTable(arrays.table);
    this.replacePhotograph(arrays.photo);
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
    const views = Object.entries(VIEWS).filter(
      ([name]) => name !== 'rollout' || this.groups.some(group => group.scales.some(scale => scale.rollout)),
    );
    if (header.view !== this.given) {
      this.given = header.view;
      this.view = header.view;
    }
    if (!views.some(([name]) => name === this.view)) this.view = 'colours';
    choices(
      this.find('views'),
      views.map(([name, [text, title]]) => [name, text, title]),
      this.view,
      'What to draw of each stage',
      name => {
        this.view = name;
        this.draw();
        this.report('view', name);
      },
    );
    this.build();
    this.rest = this.at = this.restingPlace();
    this.terms();
    this.draw();
    this.show();
  }

  build() {
    this.panels = [];
    const [h, w] = this.groups[0].size;
    const figures = [this.figure(0, 0, 'The picture', [`${h} × ${w} pixels,`, `as ${this.groups[0].title} gets it`])];
    this.groups.forEach((group, g) =>
      group.levels.forEach((level, i) => {
        const several = group.levels.length > 1;
        const name = several ? `Stage ${i + 1}` : group.title;
        const facts = [`${level.grid[0]} × ${level.grid[1]} cells of ${level.cell} px`, `${level.channels} channels`];
        const figure = this.figure(g, i + 1, name, facts);
        if (g && !i) figure.classList.add('first');
        figures.push(figure);
      }),
    );
    this.find('panels').replaceChildren(...figures);
  }

  figure(g, level, name, facts) {
    const figure = create('figure', 'panel');
    const caption = create('figcaption');
    const stage = create('div', 'stage');
    const mark = create('i', 'mark');
    const picture = level ? create('canvas') : create('img');
    const panel = { g, level, figure, stage, picture, mark };
    caption.append(create('b', '', name), ...facts.map(text => create('span', '', text)));
    stage.tabIndex = 0;
    stage.setAttribute('role', 'application');
    stage.setAttribute('aria-label', `${name}, ${facts.join(', ')}. ${HINT}`);
    stage.style.aspectRatio = `${this.groups[g].size[1]} / ${this.groups[g].size[0]}`;
    if (!level) {
      picture.src = this.url;
      picture.alt = this.header.title;
      stage.dataset.drawn = 'photo';
    }
    stage.append(picture, mark);
    figure.append(caption, stage);
    if (level) {
      const home = create('div');
      const leader = this.panels.find(other => other.bar)?.bar ?? null;
      panel.bar = new MapBar(home, () => this.draw(), leader);
      figure.append(home);
    }
    for (const kind of ['pointermove', 'pointerdown']) stage.addEventListener(kind, event => this.over(panel, event));
    for (const kind of ['pointerleave', 'blur']) stage.addEventListener(kind, () => this.leave());
    stage.addEventListener('keydown', event => this.key(panel, event));
    this.panels.push(panel);
    return figure;
  }

  terms() {
    const parts = [];
    const light = panel => on => panel.figure.classList.toggle('lit', on);
    for (const panel of this.panels.filter(({ g }) => !g)) {
      const { grid, channels } = this.groups[0].scales[panel.level];
      parts.push(...(parts.length ? [' → '] : []), [
        panel.level ? `${grid[0]} × ${grid[1]} × ${channels}` : `${grid[0]} × ${grid[1]} × 3 pixels`,
        light(panel),
      ]);
    }
    const single = this.panels.find(panel => panel.g);
    if (single) {
      const { grid, channels } = this.groups[single.g].scales[single.level];
      parts.push(`    ${this.groups[single.g].title}, one scale from start to end: `, [
        `${grid[0]} × ${grid[1]} × ${channels}`,
        light(single),
      ]);
    }
    formula(this.find('terms'), parts);
  }

  // Unit tokens without what all have in common, channel by channel.
  unitTokens(scale) {
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
    for (const panel of this.panels) if (panel.level) this.drawLevel(panel);
  }

  drawLevel(panel) {
    const scale = this.groups[panel.g].scales[panel.level];
    const [rows, columns] = scale.grid;
    const { view, colours } = this;
    panel.stage.classList.toggle('mosaic', view === 'channels');
    panel.bar.root.classList.toggle('drawn', view === 'rollout' && !!scale.rollout);
    panel.stage.dataset.drawn = view;
    if (view === 'channels') this.drawChannels(panel, scale);
    else if (view === 'similarity') this.drawSimilar(panel, scale);
    else if (view === 'colours') paint(panel.picture, rows, columns, i => rgbPixel(scale.pca, i));
    else if (view === 'norm') {
      const [low, high] = extent(scale.norm);
      paint(panel.picture, rows, columns, ramp(scale.norm, colours, low, high));
    } else if (scale.rollout) {
      // What does not end in a cell ends in the class token: all of it is 1.
      const end = panel.bar.end(scale.rollout, 1 / (rows * columns));
      paint(panel.picture, rows, columns, ramp(scale.rollout, colours, 0, end));
      panel.bar.show(colours, scale.rollout, end, 'share of a cell');
    } else paint(panel.picture, rows, columns, () => 0);
  }

  drawChannels(panel, scale) {
    const [rows, columns] = scale.grid;
    const side = Math.ceil(Math.sqrt(scale.order.length));
    scale.side = side;
    paint(panel.picture, side * rows, side * columns, i => {
      const y = Math.floor(i / (side * columns));
      const x = i % (side * columns);
      const tile = Math.floor(y / rows) * side + Math.floor(x / columns);
      if (tile >= scale.order.length) return 0;
      const channel = scale.order[tile] * rows * columns;
      return this.colours[scale.values[channel + (y % rows) * columns + (x % columns)] >> 8];
    });
  }

  drawSimilar(panel, scale) {
    const [rows, columns] = scale.grid;
    const cells = rows * columns;
    const unit = this.unitTokens(scale);
    const box = this.boxes?.get(panel) ?? [rows >> 1, columns >> 1, (rows >> 1) + 1, (columns >> 1) + 1];
    const cell = Math.min(rows - 1, (box[0] + box[2]) >> 1) * columns + Math.min(columns - 1, (box[1] + box[3]) >> 1);
    const cosine = new Float32Array(cells);
    for (let c = 0; c < scale.channels; c++) {
      const own = unit[c * cells + cell];
      for (let i = 0; i < cells; i++) cosine[i] += own * unit[c * cells + i];
    }
    scale.cosine = cosine;
    paint(panel.picture, rows, columns, i => diverging(cosine[i]));
  }

  over(panel, event) {
    const scale = this.groups[panel.g].scales[panel.level];
    const grid = scale.grid;
    if (panel.level && this.view === 'channels') {
      const [y, x] = cellAt(event, panel.stage, [grid[0] * scale.side, grid[1] * scale.side]);
      this.tile = Math.floor(y / grid[0]) * scale.side + Math.floor(x / grid[1]);
      this.at = [panel, y % grid[0], x % grid[1]];
    } else this.at = [panel, ...cellAt(event, panel.stage, grid)];
    this.requestDraw();
  }

  key(panel, event) {
    const step = takeArrow(event);
    if (!step) return;
    const grid = this.groups[panel.g].scales[panel.level].grid;
    const far = event.shiftKey || !panel.level ? Math.ceil(grid[0] / 16) : 1;
    const [, y, x] = this.at && this.at[0] === panel ? this.at : [panel, grid[0] >> 1, grid[1] >> 1];
    this.at = [panel, ...stepped([y, x], [far * step[0], far * step[1]], grid)];
    this.tile = 0;
    this.show();
  }

  // The cell that is lit while nobody points: of the second stage, where it is seen above and below.
  restingPlace() {
    const panel = this.panels[Math.min(2, this.groups[0].levels.length)];
    const { grid } = this.groups[0].scales[panel.level];
    return [panel, ...FIRST.map((share, axis) => Math.floor(share * grid[axis]))];
  }

  leave() {
    this.at = this.rest;
    this.requestDraw();
  }
  requestDraw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.show();
    });
  }

  // The box of the cell under the pointer on every panel, through the windows of its own model and as a share of the
  // picture on others.
  show() {
    for (const panel of this.panels) {
      panel.mark.style.display = 'none';
      panel.mark.classList.remove('self');
    }
    this.boxes = null;
    const [from, y, x] = this.at;
    const group = this.groups[from.g];
    const box = [y, x, y + 1, x + 1];
    const pixels = covered(group.scales, from.level, box, 0);
    const [h, w] = group.size;
    const share = [pixels[0] / h, pixels[1] / w, pixels[2] / h, pixels[3] / w];
    this.boxes = new Map();
    for (const panel of this.panels) {
      const { scales, size } = this.groups[panel.g];
      const elsewhere = [
        Math.floor(share[0] * size[0]),
        Math.floor(share[1] * size[1]),
        Math.ceil(share[2] * size[0]),
        Math.ceil(share[3] * size[1]),
      ];
      const onOther = () => covered(scales, 0, elsewhere, panel.level);
      const onOwn = () => (panel === from ? box : covered(scales, from.level, box, panel.level));
      this.boxes.set(panel, panel.g === from.g ? onOwn() : onOther());
      this.placeBox(panel, from, [y, x]);
    }
    if (this.view === 'similarity') for (const panel of this.panels) if (panel.level) this.drawLevel(panel);
    const hint = this.at === this.rest ? ` ${HINT}` : '';
    this.find('reading').textContent = `${this.words(from, y, x, pixels)}${hint}`;
  }

  placeBox(panel, from, cell) {
    const scale = this.groups[panel.g].scales[panel.level];
    const [rows, columns] = scale.grid;
    const [top, left, bottom, right] = this.boxes.get(panel);
    panel.mark.classList.toggle('self', panel === from);
    if (!panel.level || this.view !== 'channels')
      placeMark(panel.mark, [top / rows, left / columns, bottom / rows, right / columns]);
    else if (panel === from) {
      const inTile = [
        Math.floor(this.tile / scale.side) * rows + cell[0],
        (this.tile % scale.side) * columns + cell[1],
      ];
      placeMark(panel.mark, cellBox(inTile, [rows * scale.side, columns * scale.side]));
    }
  }

  words(from, y, x, pixels) {
    const [top, left, bottom, right] = pixels;
    const group = this.groups[from.g];
    const stage = group.levels.length > 1 ? `Stage ${from.level}` : group.title;
    let text = `${from.level ? stage : 'Pixel'}, row ${y + 1}, column ${x + 1}`;
    if (from.level) {
      const place = `rows ${top + 1} to ${bottom}, columns ${left + 1} to ${right}`;
      text += `: ${place} of the picture (${bottom - top} × ${right - left} px)`;
    }
    const others = this.panels.filter(panel => panel.g === from.g && panel.level && panel !== from);
    const elsewhere = others.map(panel => {
      const box = this.boxes.get(panel);
      return `${(box[2] - box[0]) * (box[3] - box[1])} of stage ${panel.level}`;
    });
    if (elsewhere.length) text += `; cells: ${elsewhere.join(', ')}`;
    return `${text}${from.level ? this.valueWords(group.scales[from.level], y, x) : ''}.`;
  }

  // What the view shows at a cell.
  valueWords(scale, y, x) {
    const i = y * scale.grid[1] + x;
    const cells = scale.grid[0] * scale.grid[1];
    if (this.view === 'similarity')
      return `. The mean cosine to its stage is ${number(scale.cosine.reduce((sum, value) => sum + value, 0) / cells)}`;
    if (this.view === 'norm') return `. Norm ${number(scale.norm[i])}`;
    if (this.view === 'rollout' && scale.rollout) {
      const share = scale.rollout[i];
      return `. Share of the walk ${percent(share)}, ${(share * cells).toFixed(1)}× an even one`;
    }
    if (this.view === 'channels' && this.tile < scale.order.length) {
      const channel = scale.order[this.tile];
      const [low, high] = [scale.low[channel], scale.high[channel]];
      const value = low + (scale.values[channel * cells + i] * (high - low)) / 65535;
      return `. Channel ${channel + 1}: ${number(value)}`;
    }
    return '';
  }

  destroy() {
    cancelAnimationFrame(this.frame);
  }
}

export default mount(FeaturePyramid);
