import { colourTable, withAlpha } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { sameNumbers } from '../_lib/decoder.js';
import { choices, create, createSvg } from '../_lib/dom.js';
import { decimal, percent, scaleEnd, significant } from '../_lib/formatting.js';
import { clamp, paint, paintRamp, shareAt, takeArrow } from '../_lib/grid.js';

const SIGNED = '; with a sign as far to either side';
const SCALES = [
  [
    'own',
    'from zero',
    `Each map from zero to its own 99 % quantile, without a sign to twice its mean at least${SIGNED}`,
  ],
  ['max', 'to the highest', `Each map from zero to its largest value${SIGNED}`],
  ['stretch', 'lowest to highest', `Each map from its lowest 1 % to where it ends from zero${SIGNED}`],
  ['one', 'one for all', 'All maps in multiples of their own mean, on the scale of the most concentrated one'],
];
// Drawn, for not every font has an hourglass.
const PATHS = {
  passed: 'M3 8.5 6.5 12 13 4.5',
  failed: 'M4 4l8 8M12 4l-8 8',
  none: 'M4 8h8',
  mixed: 'M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 1 1 0 11',
  pending: 'M4 2.5h8M4 13.5h8M5 2.5v2.2L8 8l3-3.3V2.5M5 13.5v-2.2L8 8l3 3.3v2.2',
  asleep: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11',
};

function badgeSign(state) {
  const svg = createSvg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true', class: state });
  svg.append(createSvg('path', { d: PATHS[state] }));
  return svg;
}

class MapGrid extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.view = { scale: 'own', opacity: 0.6 };
    this.plain = this.both = null; // the colours of maps, and of those with a sign
    this.cards = new Map();
    this.point = null;
    this.opacity = this.find('opacity');
    this.opacity.addEventListener('input', () => {
      this.view.opacity = this.opacity.value / 100;
      this.draw();
      this.reportView();
    });
    this.mark = choices(this.find('scale'), SCALES, 'own', 'Scale', name => {
      this.view.scale = name;
      this.draw();
      this.reportView();
    });
    this.find('stop').onclick = () => this.tell('act', this.header.stopped ? 'on' : 'stop');
    this.dialog = this.find('proof');
    this.find('close').onclick = () => this.dialog.close();
    this.dialog.addEventListener('click', event => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener('close', () => {
      this.open = '';
    });
  }

  reportView() {
    this.report('view', { ...this.view });
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    const given = JSON.stringify(header.view);
    if (given !== this.given) {
      // what the page repeats must not undo what the hand is doing
      this.given = given;
      Object.assign(this.view, header.view);
      this.mark(this.view.scale);
      this.opacity.value = Math.round(this.view.opacity * 100);
    }
    if (!sameNumbers(this.photo, arrays.photo)) {
      this.photo = arrays.photo;
      this.replacePhotograph(arrays.photo);
      this.cards.forEach(entry => {
        entry.img.src = this.url;
      });
    }
    this.plain ??= colourTable(arrays.viridis);
    this.both ??= colourTable(arrays.diverging);
    for (const [name, colours] of Object.entries({ plain: this.plain, both: this.both }))
      paint(this.find(name), 1, 96, i => colours[Math.round((i / 95) * 255)]);
    this.find('status').textContent = header.status;
    const stop = this.find('stop');
    stop.textContent = header.stopped ? 'Go on' : 'Stop';
    stop.classList.toggle('there', header.busy || header.stopped);
    const names = header.cards.map(card => card.name);
    const home = this.find('cards');
    for (const [name, entry] of this.cards)
      if (!names.includes(name)) {
        entry.root.remove();
        this.cards.delete(name);
      }
    header.cards.forEach((card, place) => {
      const entry = this.cards.get(card.name) ?? this.make(card);
      if (home.children[place] !== entry.root) home.insertBefore(entry.root, home.children[place] ?? null);
      this.fill(entry, card);
    });
    this.draw();
    this.cross();
    if (this.open) this.proof(this.open);
  }

  make(card) {
    const root = create('div', 'card');
    const title = create('b', '', card.title);
    const note = create('span', 'note');
    const stage = create('div', 'stage');
    const img = create('img');
    const canvas = create('canvas');
    const veil = create('div', 'veil');
    const cross = create('i', 'cross');
    const ends = create('div', 'ends');
    const [low, bar, high, beyond] = [create('span'), create('canvas'), create('span'), create('span', 'beyond')];
    const foot = create('div', 'foot');
    const badge = create('button', 'badge');
    const closer = create('button', 'act closer', 'Closer');
    badge.type = closer.type = 'button';
    title.title = card.summary;
    img.alt = '';
    if (this.url) img.src = this.url;
    root.dataset.name = card.name;
    closer.setAttribute('aria-label', `Look closer at ${card.title}`);
    closer.onclick = () => this.tell('act', card.name);
    badge.onclick = () => this.proof(card.name);
    stage.tabIndex = 0;
    stage.setAttribute('role', 'application');
    stage.setAttribute('aria-label', `${card.title}, map over ${this.header.title}. Arrow keys read it.`);
    const at = event => this.read(card.name, ...shareAt(event, stage));
    stage.addEventListener('pointermove', at);
    stage.addEventListener('pointerdown', at);
    stage.addEventListener('pointerleave', () => this.leave());
    stage.addEventListener('blur', () => this.leave());
    stage.addEventListener('keydown', event => {
      const map = this.arrays[`${card.name}.map`];
      const step = map && takeArrow(event);
      if (!step) return;
      const [y, x] = this.point ?? [0.5, 0.5];
      this.read(card.name, y + step[0] / map.shape[0], x + step[1] / map.shape[1]);
    });
    stage.append(img, canvas, veil, cross);
    ends.append(low, bar, high, beyond);
    foot.append(badge, closer);
    root.append(title, note, stage, ends, foot);
    const entry = { root, note, stage, img, canvas, veil, cross, badge, closer, ends, low, bar, high, beyond };
    this.cards.set(card.name, entry);
    return entry;
  }

  fill(entry, card) {
    entry.card = card;
    entry.root.className = `card ${card.state}${card.on ? ' on' : ''}${card.signed ? ' signed' : ''}`;
    entry.note.textContent = card.note;
    entry.note.title = card.note;
    entry.veil.textContent = card.refusal;
    entry.stage.style.aspectRatio = `${this.header.size[1]} / ${this.header.size[0]}`;
    entry.badge.dataset.state = card.badge.state;
    entry.badge.replaceChildren(badgeSign(card.badge.state), create('span', '', card.badge.text));
    entry.badge.title = card.badge.words;
    entry.badge.setAttribute('aria-label', `${card.title}: ${card.badge.text}. ${card.badge.words}`);
    entry.closer.setAttribute('aria-pressed', String(card.on));
  }

  // A map's value in multiples of the map's mean.
  value(name, cell) {
    const map = this.arrays[`${name}.map`];
    const [low, high] = this.cards.get(name).card.ends;
    return low + (map[cell] / 65535) * (high - low);
  }

  draw() {
    const shown = [...this.cards.values()].filter(entry => entry.card.ends);
    const most = Math.max(...shown.map(entry => entry.card.top), 0);
    for (const entry of this.cards.values()) {
      const { name, ends, low, top, highest, signed } = entry.card;
      if (!ends) {
        entry.canvas.width = 0;
        entry.ends.classList.remove('there');
        entry.drawn = '';
        delete entry.stage.dataset.drawn;
        continue;
      }
      const to = { one: most, max: highest }[this.view.scale] ?? top;
      const from = signed ? -to : this.view.scale === 'stretch' ? low : 0;
      const map = this.arrays[`${name}.map`];
      const drawn = `${from} ${to} ${entry.card.unitValue}`;
      entry.canvas.style.opacity = this.view.opacity;
      if (entry.drawn === drawn && sameNumbers(entry.map, map)) continue;
      entry.drawn = drawn;
      entry.map = map;
      paint(entry.canvas, map.shape[0], map.shape[1], this.colourOf(entry.card, from, to));
      entry.stage.dataset.drawn = drawn;
      this.drawEnds(entry, from, to);
    }
  }

  // The colours of one map, where they end, and how much of the picture lies beyond.
  drawEnds(entry, from, to) {
    const { name, signed } = entry.card;
    const { content } = this.arrays;
    const cells = entry.map.length;
    const slack = 1e-4 * Math.max(Math.abs(from), Math.abs(to));
    let [inside, above, below] = [0, 0, 0];
    for (let cell = 0; cell < cells; cell++) {
      if (content && !content[cell]) continue;
      inside += 1;
      if (this.value(name, cell) > to + slack) above += 1;
      if (this.value(name, cell) < from - slack) below += 1;
    }
    const times = value => `${value === 0 ? '0' : significant(value, 2)}×`;
    const parts = [];
    if (above) parts.push(`${percent(above / inside)} of the picture lies above`);
    if (below) parts.push(`${percent(below / inside)} of the picture lies below`);
    paintRamp(entry.bar, signed ? this.both : this.plain);
    entry.low.textContent = scaleEnd(times(from), below > 0, '≤');
    entry.high.textContent = scaleEnd(times(to), above > 0);
    entry.ends.title = [`Colours from ${times(from)} to ${times(to)} the map's mean size`, ...parts].join('; ');
    const where = above && below ? 'beyond' : above ? 'above' : 'below';
    entry.beyond.textContent = parts.length ? `${percent((above + below) / inside)} ${where}` : '';
    entry.ends.classList.add('there');
  }

  // What paints a cell of a map; where there is no evidence either way the photograph shows.
  colourOf({ name, signed }, from, to) {
    const { content } = this.arrays;
    const colours = signed ? this.both : this.plain;
    const factor = to > from ? 255 / (to - from) : 0;
    return cell => {
      if (content && !content[cell]) return 0;
      const value = this.value(name, cell);
      const colour = colours[clamp((value - from) * factor, 0, 255) | 0];
      return signed ? withAlpha(colour, Math.sqrt(Math.min(1, to > 0 ? Math.abs(value) / to : 0)) * 255) : colour;
    };
  }

  read(name, down, across) {
    this.point = [clamp(down, 0, 1 - 1e-9), clamp(across, 0, 1 - 1e-9)];
    this.cross();
    this.find('reading').textContent = this.reading(this.cards.get(name).card, this.arrays[`${name}.map`]);
  }

  reading(card, map) {
    if (!map) return '';
    const [row, column] = this.point.map((share, axis) => Math.floor(share * map.shape[axis]));
    const cell = row * map.shape[1] + column;
    if (this.arrays.content && !this.arrays.content[cell]) return 'Padding: no picture here.';
    const value = this.value(card.name, cell);
    const multiple = `${decimal(value, Math.abs(value) < 10 ? 2 : 0)} × the map's mean size`;
    return `${card.title}: ${multiple}; ${significant(value * card.unitValue, 3)} in the method's own unit.`;
  }

  cross() {
    for (const entry of this.cards.values()) {
      entry.cross.style.display = this.point ? 'block' : 'none';
      if (this.point) {
        entry.cross.style.top = `${this.point[0] * 100}%`;
        entry.cross.style.left = `${this.point[1] * 100}%`;
      }
    }
  }

  leave() {
    this.point = null;
    this.cross();
    this.find('reading').textContent = '';
  }

  proof(name) {
    const card = this.cards.get(name)?.card;
    if (!card) {
      this.dialog.close();
      return;
    }
    const key = JSON.stringify(card.badge);
    if (this.open === name && this.dialog.open && this.shownBadge === key) return;
    this.open = name;
    this.shownBadge = key;
    this.dialog.querySelector('h3').textContent = `${card.title}: ${card.badge.text}`;
    this.find('said').textContent = card.badge.words;
    this.find('rows').replaceChildren(
      ...card.badge.lines.map(line => {
        const row = create('div', 'row');
        const head = create('div', 'head');
        if (line.passed !== null) row.dataset.passed = line.passed;
        head.append(create('b', '', line.title), create('span', '', line.value));
        if (line.passed !== null) head.append(create('i', '', line.passed ? '✓ passed' : '✕ not passed'));
        row.append(head, create('div', 'beside', line.beside), create('div', 'rule', line.rule));
        return row;
      }),
    );
    if (!this.dialog.open) this.dialog.showModal();
  }
}

export default mount(MapGrid);
