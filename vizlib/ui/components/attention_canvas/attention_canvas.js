import { cssColour, namedTable } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { create } from '../_lib/dom.js';
import { capital, percent, scaleEnd } from '../_lib/formatting.js';
import { clamp, hatchAround, paintRamp, shareAt, takeArrow } from '../_lib/grid.js';
import { changeAppearance, onAppearance, page } from '../_lib/map_appearance.js';
import { shareAbove, upperEnd } from '../_lib/map_scale.js';
import { decodeSites } from './attention_site.js';
import { mostWords } from './attention_words.js';

const SETTLED = 300; // milliseconds without a change before the address follows
const IDLE = 500; // and before a coarse layer asks for its finer rows
const MEAN = -1;
// Pixels: between the pictures of heads, under each, their least and largest side, and what they always get.
const [GAP, CAPTION, LEAST_HEAD, MOST_HEAD, MOST_SQUEEZED] = [8, 28, 60, 220, 120];
// The canvas writes these parts of the address itself.
const OWNED = ['layer', 'head', 'query', 'reverse', 'opacity', 'colors', 'scale', 'maps'];

/**
 * What the button of a stage says, by the title of its first site: "Stage 2", "Round 1", or "Layers" beside rounds.
 * @param {string} title
 */
function stageTitle(title) {
  return title.startsWith('layer') ? 'Layers' : capital(title.split(', ')[0]);
}

class AttentionCanvas extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.stage = this.find('stage');
    this.map = this.find('map');
    this.over = this.find('over');
    this.strips = [...root.querySelectorAll('.unseen')];
    this.trigger = (_name, _value) => {}; // tells the page at once
    this.stop = new AbortController();
    const on = (what, kind, act) => what.addEventListener(kind, act, { signal: this.stop.signal });
    on(this.stage, 'pointermove', event => this.point(event));
    on(this.stage, 'pointerdown', event => {
      this.point(event);
      this.down = [event.clientX, event.clientY];
    });
    on(this.stage, 'pointerleave', () => {
      this.query = this.selected;
      this.requestDraw();
    });
    on(this.stage, 'click', event => {
      if (this.point(event)) this.pin();
    });
    on(this.stage, 'keydown', event => this.key(event));
    on(this.find('layer'), 'input', event => {
      this.rest();
      this.showLayer(this.stageSites()[+event.target.value]);
    });
    on(this.find('play'), 'click', () => this.play(!this.playing));
    on(this.find('forward'), 'click', () => this.turn(false));
    on(this.find('reverse'), 'click', () => this.turn(true));
    on(this.find('opacity'), 'input', event => changeAppearance({ opacity: event.target.value / 100 }));
    on(this.find('colormap'), 'change', event => changeAppearance({ colormap: event.target.value }));
    on(this.find('one'), 'change', event => {
      this.oneScale = event.target.checked;
      this.requestDraw();
    });
    on(this.find('maps'), 'change', event => changeAppearance({ scale: event.target.checked ? 'one' : 'own' }));
    on(this.find('highest'), 'change', event => changeAppearance({ scale: event.target.checked ? 'max' : 'own' }));
    on(this.find('drop'), 'change', () => this.requestDraw());
    on(document, 'vizlib:patch', event => this.finer(event.detail));
    on(document, 'vizlib:open', event => this.open(event.detail));
    onAppearance(() => this.requestDraw(), this.stop.signal);
    on(window, 'popstate', () => this.arrive());
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.find('root'));
    this.watch.observe(this.find('left'));
    this.reducedMotion = matchMedia('(prefers-reduced-motion: reduce)').matches;
  }

  load(header, arrays) {
    const isFirst = !this.sites;
    this.header = header;
    this.tables = arrays.tables;
    this.sites = decodeSites(arrays.attention);
    this.requested = new Set();
    this.replacePhotograph(arrays.photo);
    const { title, image, colormaps } = this.header;
    const photo = this.find('photo');
    photo.src = this.url;
    photo.classList.toggle('small', Math.max(...image) < 200);
    this.stage.setAttribute(
      'aria-label',
      `${title}. Arrow keys move from patch to patch; the attention of the patch is read out.`,
    );
    if (!this.find('colormap').length) for (const name of colormaps) this.find('colormap').add(new Option(name, name));
    const most = Math.max(...this.sites.map(site => site.heads * Math.max(site.n, site.m)));
    this.values = new Float32Array(most);
    this.mean = new Float32Array(Math.max(...this.sites.map(site => Math.max(site.n, site.m))));
    this.find('artifacts').style.display = this.header.artifact_tokens.some(cells => cells.length) ? '' : 'none';
    const stages = [...new Set(this.sites.map(site => site.stage))];
    this.find('stages').replaceChildren(
      ...(stages.length > 1 ? stages : []).map(stage => {
        const first = this.sites.find(site => site.stage === stage);
        const button = create('button', '', stageTitle(first.title));
        button.type = 'button';
        button.dataset.stage = stage;
        button.title = `${first.full[0].join(' × ')} patches`;
        button.onclick = () => {
          this.rest();
          this.showLayer(this.sites.findIndex(site => site.stage === stage));
        };
        return button;
      }),
    );
    this.layer = -1;
    if (isFirst) this.arrive();
    else this.showLayer(this.start(), true);
    this.fit();
  }

  // Where to begin: the middle of the last stage, where attention is neither local nor spent.
  start() {
    const last = this.sites.filter(site => site.stage === this.sites.at(-1).stage && site.queries[0]);
    return this.sites.indexOf(last[Math.floor((last.length - 1) / 2)] ?? this.sites[0]);
  }

  // The view that the address names; without one, what this tab showed last.
  arrive() {
    if (!this.sites) return;
    const given = new URLSearchParams(location.search);
    const named = OWNED.some(name => given.has(name));
    const old = named ? {} : (page.canvas ?? {});
    const number = name => (given.has(name) ? +given.get(name) : NaN);
    // The address counts layers and heads from 1, as all words do; head 0 is the mean.
    const layer = named ? number('layer') - 1 : old.layer;
    const head = named ? number('head') - 1 : old.head;
    this.head = Number.isInteger(head) && head >= MEAN ? head : MEAN;
    this.reversed = named ? given.get('reverse') === '1' : !!old.reverse;
    const appearance = {};
    if (number('opacity') >= 0 && number('opacity') <= 1) appearance.opacity = number('opacity');
    if (this.header.colormaps.includes(given.get('colors'))) appearance.colormap = given.get('colors');
    this.oneScale = named ? given.get('scale') === 'one' : !!old.one;
    const maps = named ? given.get('maps') : old.maps;
    appearance.scale = maps === 'one' || maps === 'max' ? maps : 'own';
    this.selected = this.query = old.selected ?? { v: 0.5001, u: 0.5001 };
    this.showLayer(Number.isInteger(layer) && layer >= 0 && layer < this.sites.length ? layer : this.start(), true);
    const query = number('query');
    if (Number.isInteger(query) && query >= 0) {
      this.selected = this.query = this.place(query, true);
      this.pinned = true;
    }
    changeAppearance(appearance);
  }

  get site() {
    return this.sites[this.layer];
  }
  stageSites() {
    return this.sites.flatMap((site, i) => (site.stage === this.site.stage ? [i] : []));
  }
  // The grid that is pointed at, and the one that is painted.
  get from() {
    return this.reversed ? 1 : 0;
  }
  get onto() {
    return 1 - this.from;
  }

  // The grid that is pointed at: as it is shown, or, ``exact``, as the model has it and the address and the server
  // speak of it.
  pointed(exact) {
    const { site, from } = this;
    return {
      names: site.names[from],
      full: site.full[from],
      ...(exact ? { grid: site.full[from], pool: 1 } : { grid: site.grids[from], pool: site.pool }),
    };
  }

  token(query, exact) {
    const {
      names,
      full,
      grid: [rows, columns],
      pool,
    } = this.pointed(exact);
    if (query.name !== undefined && names.includes(query.name)) return names.indexOf(query.name);
    if (!rows) return 0;
    const y = clamp(Math.floor(((query.v ?? 0.5) * full[0]) / pool), 0, rows - 1);
    const x = clamp(Math.floor(((query.u ?? 0.5) * full[1]) / pool), 0, columns - 1);
    return names.length + y * columns + x;
  }

  place(token, exact) {
    const {
      names,
      full,
      grid: [, columns],
      pool,
    } = this.pointed(exact);
    const cell = token - names.length;
    if (cell < 0) return { name: names[token], u: this.query?.u, v: this.query?.v };
    return { v: ((Math.floor(cell / columns) + 0.5) * pool) / full[0], u: (((cell % columns) + 0.5) * pool) / full[1] };
  }

  point(event) {
    if (!this.sites) return false;
    const [down, across] = shareAt(event, this.stage);
    const { image, input, scale, offset } = this.header;
    const u = (across * image[1] * scale[1] + offset[1]) / input[1];
    const v = (down * image[0] * scale[0] + offset[0]) / input[0];
    if (!(u >= 0 && u < 1 && v >= 0 && v < 1)) {
      this.query = this.selected;
      this.requestDraw();
      return false;
    }
    this.query = { u, v };
    this.requestDraw();
    return true;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = takeArrow(event);
    if (step) {
      const full = this.site.full[this.from];
      const pool = this.site.pool;
      const at = this.place(this.token(this.query));
      this.selected = this.query = {
        v: clamp((at.v ?? 0.5) + (step[0] * pool) / full[0], 0, 0.99999),
        u: clamp((at.u ?? 0.5) + (step[1] * pool) / full[1], 0, 0.99999),
      };
      this.speak();
    } else if (event.key === '[' || event.key === ']') {
      this.rest();
      this.showLayer(this.layer + (event.key === ']' ? 1 : -1));
      this.speak();
    } else if (/^[0-9]$/.test(event.key)) {
      this.choose(event.key === '0' ? MEAN : +event.key - 1);
      this.speak();
    } else if (event.key === ' ') this.play(!this.playing);
    else if (event.key === 'Enter') this.pin();
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.requestDraw();
  }

  showLayer(layer, force) {
    const wanted = clamp(layer, 0, this.sites.length - 1);
    if (wanted === this.layer && !force) return;
    this.layer = wanted;
    if (this.head >= this.site.heads) this.head = MEAN;
    const within = this.stageSites();
    const slider = this.find('layer');
    slider.max = within.length - 1;
    slider.value = within.indexOf(this.layer);
    const layers = within.filter(i => this.sites[i].name !== 'readout').length;
    const title = capital(this.site.title.split(', ').at(-1));
    const words = title.startsWith('Layer') ? `${title} of ${layers}` : title;
    slider.setAttribute('aria-valuetext', words);
    this.find('where').textContent = words;
    this.find('where').title = this.site.name;
    for (const button of this.find('stages').children)
      button.setAttribute('aria-pressed', +button.dataset.stage === this.site.stage);
    this.buildParts();
    this.refine();
    this.requestDraw();
  }

  // The canvases and buttons that this layer needs.
  buildParts() {
    const [rows, columns] = this.site.grids[this.onto];
    const { heads } = this.site;
    const box = this.find('heads');
    this.map.width = Math.max(1, columns);
    this.map.height = Math.max(1, rows);
    this.image = new ImageData(this.map.width, this.map.height);
    const count = heads > 1 ? heads + 1 : 0;
    while (box.children.length > count) box.lastChild.remove();
    while (box.children.length < count) {
      const head = box.children.length - 1;
      const button = create('button', 'head');
      button.type = 'button';
      button.setAttribute('aria-label', head < 0 ? 'Mean of the heads' : `Head ${head + 1}`);
      button.onclick = () => this.choose(head);
      button.append(create('canvas'), create('span', '', head < 0 ? 'mean' : head + 1));
      box.append(button);
    }
    this.small = [...box.children].map(button => button.firstChild);
    for (const canvas of this.small) {
      canvas.width = this.map.width;
      canvas.height = this.map.height;
      canvas.style.aspectRatio = `${this.header.input[1]} / ${this.header.input[0]}`;
    }
    const names = [...new Set([...this.site.names[this.from], ...this.site.names[this.onto]])];
    this.find('chips').replaceChildren(
      ...names.map(name => {
        const chip = create('button', 'chip');
        chip.type = 'button';
        chip.dataset.name = name;
        chip.disabled = !this.site.names[this.from].includes(name);
        const preview = query => () => {
          this.query = query();
          this.requestDraw();
        };
        chip.onpointerenter = preview(() => (chip.disabled ? this.selected : { ...this.selected, name }));
        chip.onpointerleave = preview(() => this.selected);
        chip.onclick = () => {
          this.query = { ...this.selected, name };
          this.pin();
        };
        return chip;
      }),
    );
    this.span();
    this.fitHeads(this.stage.clientHeight);
  }

  // Pooled cells may reach over the edge of the image.
  span() {
    const [rows, columns] = this.site.grids[this.onto];
    const full = this.site.full[this.onto];
    this.map.style.width = `${(100 * columns * this.site.pool) / (full[1] || 1)}%`;
    this.map.style.height = `${(100 * rows * this.site.pool) / (full[0] || 1)}%`;
  }

  choose(head) {
    if (head >= this.site.heads || (head >= 0 && this.site.heads === 1)) return;
    this.head = head;
    this.requestDraw();
  }

  turn(reversed) {
    this.reversed = reversed;
    this.buildParts();
    this.requestDraw();
  }

  // A head of a layer that was chosen elsewhere on the page; with a query, which is then held.
  open({ layer, head, query, reverse }) {
    if (!this.sites) return;
    this.head = head;
    if (query !== undefined) this.reversed = reverse;
    this.showLayer(layer, true);
    if (query !== undefined) {
      this.query = this.place(query, true);
      this.pin();
    } else this.tell();
    this.stage.scrollIntoView({ block: 'center', behavior: this.reducedMotion ? 'auto' : 'smooth' });
  }

  play(playing) {
    this.playing = playing;
    clearInterval(this.timer);
    const button = this.find('play');
    button.setAttribute('aria-pressed', playing);
    button.setAttribute('aria-label', playing ? 'Stop' : 'Play the layers');
    if (playing)
      this.timer = setInterval(
        () => this.showLayer((this.layer + 1) % this.sites.length),
        this.reducedMotion ? 1800 : 900,
      );
  }
  rest() {
    if (this.playing) this.play(false);
  }

  // A layer that is shown coarsely asks for its finer rows once nobody moves on.
  refine() {
    clearTimeout(this.idle);
    const layer = this.layer;
    const name = this.site.name;
    if (this.site.pool === 1 || this.requested.has(name)) return;
    this.idle = setTimeout(() => {
      this.requested.add(name);
      this.trigger('want', { layer });
    }, IDLE);
  }

  finer({ view, layer, attention }) {
    if (!this.sites || view !== this.header.view || !attention || this.sites[layer]?.pool === 1) return;
    const [site] = decodeSites(attention);
    const before = this.query;
    this.sites[layer] = site;
    if (site.heads * Math.max(site.n, site.m) > this.values.length)
      this.values = new Float32Array(site.heads * Math.max(site.n, site.m));
    if (Math.max(site.n, site.m) > this.mean.length) this.mean = new Float32Array(Math.max(site.n, site.m));
    if (layer === this.layer) {
      this.query = before;
      this.buildParts();
      this.requestDraw();
    }
  }

  state() {
    const { opacity, colormap, scale } = page.appearance;
    return {
      layer: this.layer,
      head: this.head,
      query: this.token(this.selected, true),
      reverse: this.reversed,
      opacity,
      colors: colormap,
      scale: this.oneScale ? 'one' : 'own',
      maps: scale === 'one' || scale === 'max' ? scale : 'own',
    };
  }

  pin() {
    this.selected = this.query;
    this.pinned = true;
    this.requestDraw();
    this.speak();
    this.address();
    this.trigger('pin', this.state());
  }

  // The layer and head that were opened, for the panels below; what is held stays held.
  tell() {
    const { query, reverse, ...shown } = this.state();
    this.trigger('pin', this.pinned ? { ...shown, query, reverse } : shown);
  }

  // The address follows by itself, without the server; a rerun may have written an older one over it.
  address() {
    if (!this.sites) return;
    const now = this.state();
    const search = new URLSearchParams(location.search);
    page.canvas = {
      layer: now.layer,
      head: now.head,
      reverse: now.reverse,
      selected: this.selected,
      one: this.oneScale,
      maps: now.maps,
    };
    const quiet = {
      layer: now.layer === this.start(),
      head: now.head === MEAN,
      reverse: !now.reverse,
      opacity: now.opacity === 0.6,
      colors: now.colors === this.header.colormaps[0],
      scale: now.scale === 'own',
      maps: now.maps === 'own',
      query: !this.pinned && !search.has('query'),
    };
    const written = { ...now, layer: now.layer + 1, head: now.head + 1 };
    for (const name of OWNED) {
      if (quiet[name]) search.delete(name);
      else search.set(name, now[name] === true ? '1' : written[name]);
    }
    const wanted = `${location.pathname}${search.size ? `?${search}` : ''}${location.hash}`;
    if (wanted !== location.pathname + location.search + location.hash) history.replaceState(history.state, '', wanted);
  }

  requestDraw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  fit() {
    if (!this.header) return;
    const { image, input, scale, offset } = this.header;
    const [height, width] = image;
    const room = this.find('left').clientWidth;
    const wide = Math.max(1, Math.min(room, (Math.max(260, window.innerHeight * 0.66) * width) / height));
    this.stage.style.width = this.find('legend').style.width = `${wide}px`;
    this.stage.style.height = `${Math.max(1, (wide * height) / width)}px`;
    // The model's input on the photograph, in per cent of it.
    const from = [0, 1].map(i => (-offset[i] / scale[i] / image[i]) * 100);
    const size = [0, 1].map(i => (input[i] / scale[i] / image[i]) * 100);
    const style = this.find('model-input').style;
    style.top = `${from[0]}%`;
    style.left = `${from[1]}%`;
    style.height = `${size[0]}%`;
    style.width = `${size[1]}%`;
    const [top, left] = from.map(side => clamp(side, 0, 100));
    const [bottom, right] = [0, 1].map(axis => clamp(from[axis] + size[axis], 0, 100));
    hatchAround(this.strips, [top, left, bottom, right]);
    const ratio = window.devicePixelRatio || 1;
    this.over.width = Math.round(wide * ratio);
    this.over.height = Math.round(((wide * height) / width) * ratio);
    this.fitHeads((wide * height) / width);
    this.draw();
  }

  // The pictures of the heads as large as there is room beside the photograph, or below it where all is in one column.
  fitHeads(beside) {
    const box = this.find('heads');
    const count = box.children.length;
    const { clientWidth: room } = this.find('right');
    if (!count || !room) return;
    const others = [...this.find('right').children].filter(part => part !== box);
    const taken = others.reduce((sum, part) => sum + part.offsetHeight + GAP, 0);
    const stacked = this.find('right').offsetTop > this.find('left').offsetTop;
    const tall = Math.max(MOST_SQUEEZED, stacked ? beside : beside - taken);
    const shape = this.header.input[0] / this.header.input[1];
    const most = Math.max(1, Math.floor((room + GAP) / (LEAST_HEAD + GAP)));
    const sizes = Array.from({ length: Math.min(count, most) }, (_, i) => {
      const side = Math.min((room - i * GAP) / (i + 1), MOST_HEAD);
      return { columns: i + 1, side, height: Math.ceil(count / (i + 1)) * (side * shape + CAPTION + GAP) };
    });
    const fitting = sizes.filter(size => size.height <= tall);
    const chosen = fitting.length
      ? fitting.reduce((best, size) => (size.side > best.side ? size : best))
      : sizes.at(-1);
    box.style.gridTemplateColumns = `repeat(${chosen.columns}, ${Math.floor(chosen.side)}px)`;
  }

  draw() {
    if (!this.sites || this.layer < 0) return;
    const site = this.site;
    const { heads } = site;
    const token = this.token(this.query);
    const count = this.reversed ? site.n : site.m;
    const learned = site.names[this.onto].length;
    const values = this.values;
    const mean = this.mean;
    mean.fill(0, 0, count);
    for (let head = 0; head < heads; head++) {
      if (this.reversed) site.column(head, token, values, head * count);
      else site.row(head, token, values, head * count);
      for (let i = 0, at = head * count; i < count; i++) mean[i] += values[at + i] / heads;
    }
    const artifacts = this.find('drop').checked ? this.artifactCells(this.onto) : [];
    const shared = this.oneScale;
    const tops = [];
    for (let head = MEAN; head < heads; head++) tops.push(this.top(head, count, learned, artifacts));
    const common = shared ? Math.max(...tops) : 0;
    const colours = this.colours();
    const shown = Math.min(this.head, heads - 1);
    const high = shared ? common : tops[shown + 1];
    this.paint(this.image, this.map, shown, count, learned, high, colours, artifacts);
    this.map.style.opacity = page.appearance.opacity;
    this.small.forEach((canvas, i) => {
      this.paint(this.image, canvas, i - 1, count, learned, shared ? common : tops[i], colours, artifacts);
      canvas.parentElement.setAttribute('aria-pressed', i - 1 === shown);
    });
    this.outline();
    this.showReading(shown, token, count, learned, high, artifacts);
    this.controls();
    const direction = this.reversed ? 'reverse' : 'forward';
    this.stage.dataset.drawn = `${this.layer} ${shown} ${token} ${direction} ${page.appearance.colormap}`;
    clearTimeout(this.later);
    this.later = setTimeout(() => this.address(), SETTLED);
  }

  valuesOf(head, count) {
    return head === MEAN ? this.mean.subarray(0, count) : this.values.subarray(head * count, (head + 1) * count);
  }

  // Cells with abnormal norm lie on the query grid; another grid has none that are known.
  artifactCells(which) {
    const cells = this.header.artifact_tokens[this.layer] ?? [];
    const { queries, grids, pool } = this.site;
    return pool === 1 && grids[which].join() === queries.join() ? cells : [];
  }

  // Where the colours of a head end, of the cells that are drawn; what learned tokens have counts for the even share.
  top(head, count, learned, artifacts) {
    const values = this.valuesOf(head, count);
    const cells = this.drawnCells(values, learned, artifacts);
    if (page.appearance.scale === 'max') return cells.reduce((top, value) => Math.max(top, value), 0);
    return upperEnd(cells, values.reduce((sum, value) => sum + value, 0) / Math.max(1, count - learned));
  }

  drawnCells(values, learned, artifacts) {
    const cells = values.subarray(learned);
    return artifacts.length ? cells.filter((_, cell) => !artifacts.includes(cell)) : cells;
  }

  paint(image, canvas, head, count, learned, high, colours, artifacts) {
    const out = new Uint32Array(image.data.buffer);
    const values = this.valuesOf(head, count);
    const factor = high > 0 ? 255 / high : 0;
    for (let i = learned; i < count; i++) out[i - learned] = colours[Math.min(255, values[i] * factor) | 0];
    for (const cell of artifacts) out[cell] = 0;
    canvas.getContext('2d').putImageData(image, 0, 0);
  }

  colours() {
    const name = page.appearance.colormap;
    if (this.painted === name && this.table) return this.table;
    this.table = namedTable(this.tables, this.header.colormaps, name);
    paintRamp(this.find('colours'), this.table);
    this.painted = name;
    return this.table;
  }

  // The box [left, top, width, height] of a query's cell in pixels of the overlay; null for a learned token.
  cellOnOverlay(query) {
    const token = this.token(query);
    const { site, from } = this;
    const learned = site.names[from].length;
    if (token < learned) return null;
    const { image, input, scale, offset } = this.header;
    const columns = site.grids[from][1];
    const cell = token - learned;
    const place = [Math.floor(cell / columns), cell % columns];
    const onInput = axis => input[axis] / site.full[from][axis];
    const perInput = axis => [this.over.height, this.over.width][axis] / scale[axis] / image[axis];
    const [top, left] = place.map((at, axis) => (at * site.pool * onInput(axis) - offset[axis]) * perInput(axis));
    const [height, width] = [0, 1].map(axis => site.pool * onInput(axis) * perInput(axis));
    return [left, top, width, height];
  }

  outline() {
    const context = this.over.getContext('2d');
    const { width, height } = this.over;
    context.clearRect(0, 0, width, height);
    const unit = width / this.stage.clientWidth || 1;
    for (const cell of this.artifactCells(this.from)) {
      const box = this.cellOnOverlay(this.place(cell + this.site.names[this.from].length));
      if (!box) continue;
      context.beginPath();
      context.arc(box[0] + box[2] / 2, box[1] + box[3] / 2, Math.max(3 * unit, box[2] / 7), 0, 7);
      context.fillStyle = '#ff4b6e';
      context.fill();
      context.lineWidth = unit;
      context.strokeStyle = '#fff';
      context.stroke();
    }
    if (this.pinned && this.selected !== this.query && this.selected.name === undefined)
      this.drawFrame(context, unit, this.selected, '#7fd4e0', 1.5);
    if (this.query.name === undefined) this.drawFrame(context, unit, this.query, '#fff', 2);
  }

  drawFrame(context, unit, query, colour, wide) {
    const box = this.cellOnOverlay(query);
    if (!box) return;
    const grow = Math.max(0, (7 * unit - box[2]) / 2);
    for (const [line, ink] of [
      [wide + 2, '#000'],
      [wide, colour],
    ]) {
      context.lineWidth = line * unit;
      context.strokeStyle = ink;
      context.strokeRect(box[0] - grow, box[1] - grow, box[2] + 2 * grow, box[3] + 2 * grow);
    }
  }

  // Where a token of the painted or the pointed grid is, in words.
  spot(token, which) {
    const names = this.site.names[which];
    const columns = this.site.grids[which][1];
    const cell = token - names.length;
    return token < names.length
      ? names[token]
      : `row ${Math.floor(cell / columns) + 1}, column ${(cell % columns) + 1}`;
  }

  showReading(shown, token, count, learned, high, artifacts) {
    const values = this.valuesOf(shown, count);
    const skipped = new Set(artifacts.map(cell => learned + cell));
    const looks = mostWords(values, i => this.spot(i, this.onto), this.reversed, skipped);
    const mean = this.site.heads > 1 ? 'mean of the heads' : 'its one head';
    const head = shown === MEAN ? mean : `head ${shown + 1}`;
    const pooled = this.site.pool > 1 ? ` Shown in cells of ${this.site.pool} × ${this.site.pool} patches.` : '';
    const subject = this.spot(token, this.from);
    const out = skipped.size ? ' Odd tokens are left out.' : '';
    const more = create('span', 'more', `${this.find('where').textContent}, ${head}.${pooled}${out}`);
    const bold = create('b', '', subject[0].toUpperCase() + subject.slice(1));
    this.find('reading').replaceChildren(bold, ` ${looks}.`, more);
    this.spoken = `${subject} ${looks}. ${more.textContent}`;
    const above = shareAbove(this.drawnCells(values, learned, artifacts), high);
    const what = this.reversed ? 'share of each patch’s attention that comes here' : 'share of its attention';
    this.find('high').textContent = scaleEnd(percent(high), above > 0);
    this.find('what').textContent = above > 0 ? `${what}; ${percent(above)} of the cells are above` : what;
    for (const chip of this.find('chips').children) this.fillChip(chip, values, high);
  }

  // The button of a learned token: its share and its colour, where it is one that is painted.
  fillChip(chip, values, high) {
    const { name } = chip.dataset;
    const token = this.site.names[this.onto].indexOf(name);
    const isQuery = this.query.name === name || !this.site.grids[this.from][0];
    chip.setAttribute('aria-pressed', isQuery && !chip.disabled);
    const share = token < 0 ? '' : percent(values[token]);
    const text = token < 0 ? name : `${name} ${share}`;
    if (chip.textContent !== text) chip.replaceChildren(...(token < 0 ? [] : [create('i')]), text);
    chip.title = '';
    if (token < 0) return;
    const colour = this.table[Math.min(255, (values[token] / (high || 1)) * 255) | 0];
    chip.firstChild.style.background = cssColour(colour);
    chip.title = this.reversed ? `gives ${share} of its attention here` : `gets ${share} of this attention`;
  }

  controls() {
    const { opacity, colormap, scale } = page.appearance;
    this.find('opacity').value = Math.round(opacity * 100);
    this.find('colormap').value = colormap;
    this.find('one').checked = this.oneScale;
    this.find('maps').checked = scale === 'one';
    this.find('maps').disabled = scale === 'max';
    this.find('highest').checked = scale === 'max';
    this.find('common').style.display = this.site.heads > 1 ? '' : 'none';
    this.find('forward').setAttribute('aria-pressed', !this.reversed);
    this.find('reverse').setAttribute('aria-pressed', this.reversed);
  }

  speak() {
    clearTimeout(this.talk);
    this.talk = setTimeout(() => {
      this.find('say').textContent = this.spoken;
    }, 350);
  }

  destroy() {
    this.stop.abort();
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
    clearInterval(this.timer);
    for (const timer of [this.later, this.idle, this.talk]) clearTimeout(timer);
  }
}

export default mount(AttentionCanvas, (canvas, { setTriggerValue }) => {
  canvas.trigger = setTriggerValue;
  canvas.requestDraw();
});
