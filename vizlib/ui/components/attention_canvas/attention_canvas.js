const page = (globalThis.vizlib ??= { look: { opacity: 0.6, colormap: 'viridis', scale: 'own' }, peaks: new Map() });
const REST = 300; // milliseconds without a change before the address follows
const IDLE = 500; // and before a coarse layer asks for its finer rows
const MEAN = -1;
const OWNED = ['layer', 'head', 'query', 'reverse', 'opacity', 'colors', 'scale', 'maps']; // the canvas writes these parts of the address itself
const percent = x => (x > 0 && x < 0.0005 ? 'under 0.1' : (x * 100).toFixed(x < 0.0995 ? 1 : 0)) + ' %';

// One attention: mirrors vizlib/analysis/payload.py. A row is what one query gives to every key, a column what one key gets.
export class Site {
  constructor(entry, body) {
    Object.assign(this, entry);
    this.grids = [this.queries, this.keys];
    this.names = [this.query_prefix, this.key_prefix];
    [this.n, this.m] = [0, 1].map(i => this.names[i].length + this.grids[i][0] * this.grids[i][1]);
    this.pool ??= 1;
    const floats = (at, count) => new Float32Array(body, at, count);
    const { heads, n, m } = this;
    if (this.coding === 'matrix') {
      const kind = this.bits === 8 ? Uint8Array : Uint16Array;
      const learned = this.key_prefix.length;
      this.peakOf = floats(this.peaks, heads * n);
      this.learnedOf = floats(this.learned, heads * n * learned);
      this.code = new kind(body, this.codes, heads * n * (m - learned));
      this.steps = (2 ** this.bits - 1) ** 2;
    } else {
      this.qOf = floats(this.q, heads * n * this.width);
      this.kOf = floats(this.k, heads * m * this.width);
      this.totalOf = floats(this.totals, heads * n);
    }
  }

  row(head, i, out, start) {
    const at = head * this.n + i;
    const m = this.m;
    if (this.coding === 'matrix') {
      const learned = this.key_prefix.length;
      const cells = m - learned;
      const factor = this.peakOf[at] / this.steps;
      const first = at * cells;
      for (let j = 0; j < learned; j++) out[start + j] = this.learnedOf[at * learned + j];
      for (let j = 0; j < cells; j++) {
        const c = this.code[first + j];
        out[start + learned + j] = c * c * factor;
      }
      return;
    }
    for (let j = 0; j < m; j++) out[start + j] = this.weight(at, head * m + j);
  }

  column(head, j, out, start) {
    const n = this.n;
    if (this.coding === 'matrix') {
      const learned = this.key_prefix.length;
      const cells = this.m - learned;
      for (let i = 0; i < n; i++) {
        const at = head * n + i;
        if (j < learned) {
          out[start + i] = this.learnedOf[at * learned + j];
          continue;
        }
        const c = this.code[at * cells + j - learned];
        out[start + i] = (c * c * this.peakOf[at]) / this.steps;
      }
      return;
    }
    for (let i = 0; i < n; i++) out[start + i] = this.weight(head * n + i, head * this.m + j);
  }

  weight(query, key) {
    const { width, qOf, kOf } = this;
    let score = 0;
    for (let c = 0, a = query * width, b = key * width; c < width; c++) score += qOf[a + c] * kOf[b + c];
    return this.coding === 'softmax' ? Math.exp(score - this.totalOf[query]) : score / this.totalOf[query];
  }
}

function unpackSites(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, false) !== 0x565a5431) throw new Error('not packed attention');
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const body = bytes.slice(8 + length).buffer; // a copy begins at a multiple of four
  return header.sites.map(entry => new Site(entry, body));
}

export function decode(bytes) {
  // mirrors pack in __init__.py
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, false) !== 0x565a4131) throw new Error('not an attention canvas');
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  let at = 8 + length;
  const take = count => bytes.slice(at, (at += count));
  return {
    header,
    tables: take(header.colormaps.length * 768),
    sites: unpackSites(take(header.attention)),
    jpeg: take(header.jpeg),
  };
}

class Canvas {
  constructor(root) {
    this.find = name => root.querySelector('.' + name);
    this.stage = this.find('stage');
    this.map = this.find('map');
    this.over = this.find('over');
    this.strips = [...root.querySelectorAll('.unseen')];
    this.stop = new AbortController();
    const on = (what, kind, act) => what.addEventListener(kind, act, { signal: this.stop.signal });
    on(this.stage, 'pointermove', e => this.point(e));
    on(this.stage, 'pointerdown', e => {
      this.point(e);
      this.down = [e.clientX, e.clientY];
    });
    on(this.stage, 'pointerleave', () => {
      this.query = this.held;
      this.ask();
    });
    on(this.stage, 'click', e => {
      if (this.point(e)) this.pin();
    });
    on(this.stage, 'keydown', e => this.key(e));
    on(this.find('layer'), 'input', e => {
      this.rest();
      this.go(this.stageSites()[+e.target.value]);
    });
    on(this.find('play'), 'click', () => this.play(!this.playing));
    on(this.find('forward'), 'click', () => this.turn(false));
    on(this.find('reverse'), 'click', () => this.turn(true));
    on(this.find('opacity'), 'input', e => this.look({ opacity: e.target.value / 100 }));
    on(this.find('colormap'), 'change', e => this.look({ colormap: e.target.value }));
    on(this.find('one'), 'change', e => {
      this.one = e.target.checked;
      this.ask();
    });
    on(this.find('maps'), 'change', e => this.look({ scale: e.target.checked ? 'one' : 'own' }));
    on(this.find('drop'), 'change', () => this.ask());
    on(document, 'vizlib:tile', e => this.finer(e.detail));
    on(document, 'vizlib:open', e => this.open(e.detail));
    on(document, 'vizlib:look', () => this.ask());
    on(window, 'popstate', () => this.arrive());
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.find('root'));
    this.watch.observe(this.find('left'));
    this.quiet = matchMedia('(prefers-reduced-motion: reduce)').matches;
  }

  load(bytes) {
    if (this.bytes && this.bytes.length === bytes.length && bytes.every((value, i) => value === this.bytes[i])) return;
    const first = !this.bytes;
    this.bytes = bytes;
    Object.assign(this, decode(bytes));
    this.asked = new Set();
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(new Blob([this.jpeg], { type: 'image/jpeg' }));
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
    this.find('oddly').style.display = this.header.odd.some(cells => cells.length) ? '' : 'none';
    const stages = [...new Set(this.sites.map(site => site.stage))];
    this.find('stages').replaceChildren(
      ...(stages.length > 1 ? stages : []).map((stage, i) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.dataset.stage = stage;
        button.textContent = `Stage ${i + 1}`;
        const one = this.sites.find(site => site.stage === stage);
        button.title = `${one.full[0].join(' × ')} patches`;
        button.onclick = () => {
          this.rest();
          this.go(this.sites.findIndex(site => site.stage === stage));
        };
        return button;
      }),
    );
    this.layer = -1;
    if (first) this.arrive();
    else this.go(Math.min(this.wanted ?? Infinity, this.start()), true);
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
    const layer = named ? number('layer') : old.layer;
    const head = named ? number('head') : old.head;
    this.head = Number.isInteger(head) ? head : MEAN;
    this.reversed = named ? given.get('reverse') === '1' : !!old.reverse;
    const look = {};
    if (number('opacity') >= 0 && number('opacity') <= 1) look.opacity = number('opacity');
    if (this.header.colormaps.includes(given.get('colors'))) look.colormap = given.get('colors');
    this.one = named ? given.get('scale') === 'one' : !!old.one;
    look.scale = (named ? given.get('maps') : old.maps) === 'own' ? 'own' : 'one'; // maps that are compared share a scale
    Object.assign(page.look, look);
    this.held = this.query = old.held ?? { v: 0.5001, u: 0.5001 };
    this.go(Number.isInteger(layer) && layer >= 0 && layer < this.sites.length ? layer : this.start(), true);
    const query = number('query');
    if (Number.isInteger(query) && query >= 0) {
      this.held = this.query = this.place(query, true);
      this.pinned = true;
    }
    document.dispatchEvent(new CustomEvent('vizlib:look'));
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

  // The grid that is pointed at: as it is shown, or, ``exact``, as the model has it and the address and the server speak of it.
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
    const y = Math.min(rows - 1, Math.max(0, Math.floor(((query.v ?? 0.5) * full[0]) / pool)));
    const x = Math.min(columns - 1, Math.max(0, Math.floor(((query.u ?? 0.5) * full[1]) / pool)));
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

  point(e) {
    if (!this.sites) return false;
    const box = this.stage.getBoundingClientRect();
    const { image, input, scale, offset } = this.header;
    const u = (((e.clientX - box.left) / box.width) * image[1] * scale[1] + offset[1]) / input[1];
    const v = (((e.clientY - box.top) / box.height) * image[0] * scale[0] + offset[0]) / input[0];
    if (!(u >= 0 && u < 1 && v >= 0 && v < 1)) {
      this.query = this.held;
      this.ask();
      return false;
    }
    this.query = { u, v };
    this.ask();
    return true;
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    if (step) {
      const full = this.site.full[this.from];
      const pool = this.site.pool;
      const at = this.place(this.token(this.query));
      const clamp = x => Math.min(0.99999, Math.max(0, x));
      this.held = this.query = {
        v: clamp((at.v ?? 0.5) + (step[0] * pool) / full[0]),
        u: clamp((at.u ?? 0.5) + (step[1] * pool) / full[1]),
      };
      this.speak();
    } else if (e.key === '[' || e.key === ']') {
      this.rest();
      this.go(this.layer + (e.key === ']' ? 1 : -1));
      this.speak();
    } else if (/^[0-9]$/.test(e.key)) {
      this.choose(e.key === '0' ? MEAN : +e.key - 1);
      this.speak();
    } else if (e.key === ' ') this.play(!this.playing);
    else if (e.key === 'Enter') this.pin();
    else return;
    e.preventDefault();
    e.stopPropagation();
    this.ask();
  }

  go(layer, force) {
    layer = Math.min(this.sites.length - 1, Math.max(0, layer));
    if (layer === this.layer && !force) return;
    this.layer = layer;
    if (this.head >= this.site.heads) this.head = MEAN;
    const within = this.stageSites();
    const slider = this.find('layer');
    slider.max = within.length - 1;
    slider.value = within.indexOf(layer);
    const layers = within.filter(i => this.sites[i].name !== 'readout').length;
    const words = this.site.name === 'readout' ? 'Read-out' : `Layer ${within.indexOf(layer) + 1} of ${layers}`;
    slider.setAttribute('aria-valuetext', words);
    this.find('where').textContent = words;
    this.find('where').title = this.site.name;
    for (const button of this.find('stages').children)
      button.setAttribute('aria-pressed', +button.dataset.stage === this.site.stage);
    this.parts();
    this.refine();
    this.ask();
  }

  // The canvases and buttons that this layer needs.
  parts() {
    const [rows, columns] = this.site.grids[this.onto];
    const { heads } = this.site;
    const box = this.find('heads');
    this.map.width = Math.max(1, columns);
    this.map.height = Math.max(1, rows);
    this.image = new ImageData(this.map.width, this.map.height);
    const count = heads > 1 ? heads + 1 : 0;
    while (box.children.length > count) box.lastChild.remove();
    while (box.children.length < count) {
      const button = document.createElement('button');
      const canvas = document.createElement('canvas');
      const label = document.createElement('span');
      const head = box.children.length - 1;
      button.type = 'button';
      button.className = 'head';
      label.textContent = head < 0 ? 'mean' : head + 1;
      button.setAttribute('aria-label', head < 0 ? 'Mean of the heads' : `Head ${head + 1}`);
      button.onclick = () => this.choose(head);
      button.append(canvas, label);
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
        const chip = document.createElement('button');
        chip.type = 'button';
        chip.className = 'chip';
        chip.dataset.name = name;
        chip.disabled = !this.site.names[this.from].includes(name);
        const preview = query => () => {
          this.query = query();
          this.ask();
        };
        chip.onpointerenter = preview(() => (chip.disabled ? this.held : { ...this.held, name }));
        chip.onpointerleave = preview(() => this.held);
        chip.onclick = () => {
          this.query = { ...this.held, name };
          this.pin();
        };
        return chip;
      }),
    );
    this.span();
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
    this.ask();
  }

  turn(reversed) {
    this.reversed = reversed;
    this.parts();
    this.ask();
  }

  open({ layer, head }) {
    if (!this.sites) return;
    this.head = head;
    this.go(layer, true);
    this.stage.scrollIntoView({ block: 'center', behavior: this.quiet ? 'auto' : 'smooth' });
  }

  play(playing) {
    this.playing = playing;
    clearInterval(this.timer);
    const button = this.find('play');
    button.setAttribute('aria-pressed', playing);
    button.setAttribute('aria-label', playing ? 'Stop' : 'Play the layers');
    if (playing) this.timer = setInterval(() => this.go((this.layer + 1) % this.sites.length), this.quiet ? 1800 : 900);
  }
  rest() {
    if (this.playing) this.play(false);
  }

  // A layer that is shown coarsely asks for its finer rows once nobody moves on.
  refine() {
    clearTimeout(this.idle);
    const layer = this.layer;
    const name = this.site.name;
    if (this.site.pool === 1 || this.asked.has(name)) return;
    this.idle = setTimeout(() => {
      this.asked.add(name);
      this.tell('want', { layer });
    }, IDLE);
  }

  finer({ view, layer, bytes }) {
    if (!this.sites || view !== this.header.view || !bytes.length || this.sites[layer]?.pool === 1) return;
    const [site] = unpackSites(bytes);
    const held = this.query;
    this.sites[layer] = site;
    if (site.heads * Math.max(site.n, site.m) > this.values.length)
      this.values = new Float32Array(site.heads * Math.max(site.n, site.m));
    if (Math.max(site.n, site.m) > this.mean.length) this.mean = new Float32Array(Math.max(site.n, site.m));
    if (layer === this.layer) {
      this.query = held;
      this.parts();
      this.ask();
    }
  }

  look(change) {
    page.look = { ...page.look, ...change };
    document.dispatchEvent(new CustomEvent('vizlib:look'));
  }

  state() {
    const { opacity, colormap, scale } = page.look;
    return {
      layer: this.layer,
      head: this.head,
      query: this.token(this.held, true),
      reverse: this.reversed,
      opacity,
      colors: colormap,
      scale: this.one ? 'one' : 'own',
      maps: scale === 'one' ? 'one' : 'own',
    };
  }

  pin() {
    this.held = this.query;
    this.pinned = true;
    this.ask();
    this.speak();
    this.address();
    this.tell('pin', this.state());
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
      held: this.held,
      one: this.one,
      maps: now.maps,
    };
    const quiet = {
      layer: now.layer === this.start(),
      head: now.head === MEAN,
      reverse: !now.reverse,
      opacity: now.opacity === 0.6,
      colors: now.colors === this.header.colormaps[0],
      scale: now.scale === 'own',
      maps: now.maps === 'one',
      query: !this.pinned && !search.has('query'),
    };
    for (const name of OWNED) {
      if (quiet[name]) search.delete(name);
      else search.set(name, now[name] === true ? '1' : now[name]);
    }
    const wanted = `${location.pathname}${search.size ? `?${search}` : ''}${location.hash}`;
    if (wanted !== location.pathname + location.search + location.hash) history.replaceState(history.state, '', wanted);
  }

  ask() {
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
    const style = this.find('seen').style;
    style.top = `${from[0]}%`;
    style.left = `${from[1]}%`;
    style.height = `${size[0]}%`;
    style.width = `${size[1]}%`;
    const cut = x => Math.min(100, Math.max(0, x));
    const [top, left] = from.map(cut);
    const [bottom, right] = [0, 1].map(i => cut(from[i] + size[i]));
    const strips = [
      [0, 0, 100, top],
      [0, bottom, 100, 100 - bottom],
      [0, top, left, bottom - top],
      [right, top, 100 - right, bottom - top],
    ];
    strips.forEach(([x, y, w, h], i) => {
      const strip = this.strips[i].style;
      strip.display = w > 0.05 && h > 0.05 ? 'block' : 'none';
      strip.left = `${x}%`;
      strip.top = `${y}%`;
      strip.width = `${w}%`;
      strip.height = `${h}%`;
    });
    const ratio = window.devicePixelRatio || 1;
    this.over.width = Math.round(wide * ratio);
    this.over.height = Math.round(((wide * height) / width) * ratio);
    this.draw();
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
    const odd = this.find('drop').checked ? this.oddCells(this.onto) : [];
    const one = this.one;
    const tops = [];
    for (let head = MEAN; head < heads; head++) tops.push(this.top(head, count, learned, odd));
    const common = one ? Math.max(...tops) : 0;
    const colours = this.colours();
    const shown = Math.min(this.head, heads - 1);
    const high = one ? common : tops[shown + 1];
    this.paint(this.image, this.map, shown, count, learned, high, colours, odd);
    this.map.style.opacity = page.look.opacity;
    this.small.forEach((canvas, i) => {
      this.paint(this.image, canvas, i - 1, count, learned, one ? common : tops[i], colours, odd);
      canvas.parentElement.setAttribute('aria-pressed', i - 1 === shown);
    });
    this.outline();
    this.words(shown, token, count, learned, high);
    this.controls();
    this.stage.dataset.drawn = `${this.layer} ${shown} ${token} ${this.reversed ? 'reverse' : 'forward'} ${page.look.colormap}`;
    clearTimeout(this.later);
    this.later = setTimeout(() => this.address(), REST);
  }

  of(head, count) {
    return head === MEAN ? this.mean.subarray(0, count) : this.values.subarray(head * count, (head + 1) * count);
  }

  // Cells with abnormal norm lie on the query grid; another grid has none that are known.
  oddCells(which) {
    const cells = this.header.odd[this.layer] ?? [];
    const { queries, grids, pool } = this.site;
    return pool === 1 && grids[which].join() === queries.join() ? cells : [];
  }

  top(head, count, learned, odd) {
    const values = this.of(head, count);
    let top = 0;
    for (let i = learned; i < count; i++)
      if (values[i] > top && !(odd.length && odd.includes(i - learned))) top = values[i];
    return top;
  }

  paint(image, canvas, head, count, learned, high, colours, odd) {
    const out = new Uint32Array(image.data.buffer);
    const values = this.of(head, count);
    const factor = high > 0 ? 255 / high : 0;
    for (let i = learned; i < count; i++) out[i - learned] = colours[Math.min(255, values[i] * factor) | 0];
    for (const cell of odd) out[cell] = 0;
    canvas.getContext('2d').putImageData(image, 0, 0);
  }

  colours() {
    const name = page.look.colormap;
    if (this.painted === name && this.table) return this.table;
    const start = 768 * Math.max(0, this.header.colormaps.indexOf(name));
    const table = this.tables.subarray(start, start + 768);
    this.table = new Uint32Array(256);
    for (let i = 0; i < 256; i++)
      this.table[i] = (0xff000000 | (table[3 * i + 2] << 16) | (table[3 * i + 1] << 8) | table[3 * i]) >>> 0;
    const bar = new ImageData(256, 1);
    new Uint32Array(bar.data.buffer).set(this.table);
    this.find('colours').getContext('2d').putImageData(bar, 0, 0);
    this.painted = name;
    return this.table;
  }

  outline() {
    const context = this.over.getContext('2d');
    const { width, height } = this.over;
    context.clearRect(0, 0, width, height);
    const { image, input, scale, offset } = this.header;
    const unit = width / this.stage.clientWidth || 1;
    const box = query => {
      const token = this.token(query);
      const names = this.site.names[this.from];
      const columns = this.site.grids[this.from][1];
      if (token < names.length) return null;
      const full = this.site.full[this.from];
      const pool = this.site.pool;
      const cell = token - names.length;
      const y = Math.floor(cell / columns) * pool;
      const x = (cell % columns) * pool;
      const left = (((x / full[1]) * input[1] - offset[1]) / scale[1] / image[1]) * width;
      const top = (((y / full[0]) * input[0] - offset[0]) / scale[0] / image[0]) * height;
      return [
        left,
        top,
        (((pool / full[1]) * input[1]) / scale[1] / image[1]) * width,
        (((pool / full[0]) * input[0]) / scale[0] / image[0]) * height,
      ];
    };
    const frame = (query, colour, wide) => {
      const at = box(query);
      if (!at) return;
      const grow = Math.max(0, (7 * unit - at[2]) / 2);
      context.lineWidth = (wide + 2) * unit;
      context.strokeStyle = '#000';
      context.strokeRect(at[0] - grow, at[1] - grow, at[2] + 2 * grow, at[3] + 2 * grow);
      context.lineWidth = wide * unit;
      context.strokeStyle = colour;
      context.strokeRect(at[0] - grow, at[1] - grow, at[2] + 2 * grow, at[3] + 2 * grow);
    };
    for (const cell of this.oddCells(this.from)) {
      const at = box(this.place(cell + this.site.names[this.from].length));
      if (!at) continue;
      context.beginPath();
      context.arc(at[0] + at[2] / 2, at[1] + at[3] / 2, Math.max(3 * unit, at[2] / 7), 0, 7);
      context.fillStyle = '#ff4b6e';
      context.fill();
      context.lineWidth = unit;
      context.strokeStyle = '#fff';
      context.stroke();
    }
    if (this.pinned && this.held !== this.query && this.held.name === undefined) frame(this.held, '#7fd4e0', 1.5);
    if (this.query.name === undefined) frame(this.query, '#fff', 2);
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

  words(shown, token, count, learned, high) {
    const values = this.of(shown, count);
    const best = [];
    for (let i = learned; i < count; i++) {
      if (best.length < 3 || values[i] > values[best[2]]) {
        best.push(i);
        best.sort((a, b) => values[b] - values[a]);
        best.length = Math.min(3, best.length);
      }
    }
    const what = this.reversed ? 'is looked at most from' : 'looks most at';
    const head = shown === MEAN ? (this.site.heads > 1 ? 'mean of the heads' : 'its one head') : `head ${shown + 1}`;
    const list = best.map(i => `${this.spot(i, this.onto)} (${percent(values[i])})`).join('; ');
    const pooled = this.site.pool > 1 ? ` Shown in cells of ${this.site.pool} × ${this.site.pool} patches.` : '';
    const subject = this.spot(token, this.from);
    const reading = this.find('reading');
    const bold = document.createElement('b');
    const more = document.createElement('span');
    bold.textContent = subject[0].toUpperCase() + subject.slice(1);
    more.className = 'more';
    more.textContent = `${this.find('where').textContent}, ${head}.${pooled}`;
    reading.replaceChildren(bold, ` ${what} ${list || 'learned tokens only'}.`, more);
    this.spoken = `${subject} ${what} ${list}. ${more.textContent}`;
    this.find('high').textContent = percent(high);
    this.find('what').textContent = this.reversed
      ? 'share of each patch’s attention that comes here'
      : 'share of its attention';
    for (const chip of this.find('chips').children) {
      const at = this.site.names[this.onto].indexOf(chip.dataset.name);
      const share = at < 0 ? '' : ` ${percent(values[at])}`;
      chip.setAttribute(
        'aria-pressed',
        (this.query.name === chip.dataset.name && !chip.disabled) || (!this.site.grids[this.from][0] && !chip.disabled),
      );
      const text = `${chip.dataset.name}${share}`;
      if (chip.textContent !== text) {
        const swatch = document.createElement('i');
        chip.replaceChildren(...(at < 0 ? [] : [swatch]), text);
      }
      if (at >= 0) {
        const colour = this.table[Math.min(255, (values[at] / (high || 1)) * 255) | 0];
        chip.firstChild.style.background = `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
      }
      chip.title =
        at < 0
          ? ''
          : this.reversed
            ? `gives ${percent(values[at])} of its attention here`
            : `gets ${percent(values[at])} of this attention`;
    }
  }

  controls() {
    const { opacity, colormap, scale } = page.look;
    this.find('opacity').value = Math.round(opacity * 100);
    this.find('colormap').value = colormap;
    this.find('one').checked = this.one;
    this.find('maps').checked = scale === 'one';
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
    if (this.url) URL.revokeObjectURL(this.url);
  }
}

export default keep(
  home => new Canvas(home),
  (canvas, { data, setTriggerValue }) => {
    canvas.tell = setTriggerValue;
    if (data && data.length) canvas.load(data);
    canvas.ask();
  },
  canvas => canvas.destroy(),
);
