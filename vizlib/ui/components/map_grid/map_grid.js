const SCALES = [
  ['own', 'from zero', 'Each map from zero to its own 99 % quantile'],
  ['stretch', 'lowest to highest', 'Each map from its lowest 1 % to its highest 1 %'],
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

function sign(state) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  svg.classList.add(state);
  path.setAttribute('d', PATHS[state]);
  svg.append(path);
  return svg;
}

class Wall {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.view = { scale: 'own', opacity: 0.6 };
    this.cards = new Map();
    this.point = null;
    this.opacity = this.find('opacity');
    this.opacity.addEventListener('input', () => {
      this.view.opacity = this.opacity.value / 100;
      this.draw();
      this.say();
    });
    this.mark = choices(this.find('scale'), SCALES, 'own', 'Scale', name => {
      this.view.scale = name;
      this.draw();
      this.say();
    });
    this.find('stop').onclick = () => this.act(this.header.stopped ? 'on' : 'stop');
    this.dialog = this.find('proof');
    this.find('close').onclick = () => this.dialog.close();
    this.dialog.addEventListener('click', event => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener('close', () => {
      this.open = '';
    });
  }

  say() {
    this.tell('view', { ...this.view });
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
    if (!same(this.photo, arrays.photo)) {
      this.photo = arrays.photo;
      if (this.url) URL.revokeObjectURL(this.url);
      this.url = photograph(arrays.photo);
      this.cards.forEach(one => {
        one.img.src = this.url;
      });
    }
    this.plain ??= palette(arrays.viridis);
    this.both ??= palette(arrays.diverging);
    for (const [name, colours] of [
      ['plain', this.plain],
      ['both', this.both],
    ]) {
      paint(this.find(name), 1, 96, i => colours[Math.round((i / 95) * 255)]);
    }
    this.find('status').textContent = header.status;
    const stop = this.find('stop');
    stop.textContent = header.stopped ? 'Go on' : 'Stop';
    stop.classList.toggle('there', header.busy || header.stopped);
    const names = header.cards.map(card => card.name);
    const home = this.find('cards');
    for (const [name, one] of this.cards)
      if (!names.includes(name)) {
        one.root.remove();
        this.cards.delete(name);
      }
    header.cards.forEach((card, place) => {
      const one = this.cards.get(card.name) ?? this.make(card);
      if (home.children[place] !== one.root) home.insertBefore(one.root, home.children[place] ?? null);
      this.fill(one, card);
    });
    this.draw();
    this.cross();
    if (this.open) this.proof(this.open);
  }

  make(card) {
    const root = el('div', 'card');
    const title = el('b', '', card.title);
    const note = el('span', 'note');
    const stage = el('div', 'stage');
    const img = el('img');
    const canvas = el('canvas');
    const veil = el('div', 'veil');
    const cross = el('i', 'cross');
    const foot = el('div', 'foot');
    const badge = el('button', 'badge');
    const closer = el('button', 'act closer', 'Closer');
    badge.type = closer.type = 'button';
    title.title = card.summary;
    img.alt = '';
    if (this.url) img.src = this.url;
    root.dataset.name = card.name;
    closer.setAttribute('aria-label', `Look closer at ${card.title}`);
    closer.onclick = () => this.act(card.name);
    badge.onclick = () => this.proof(card.name);
    stage.tabIndex = 0;
    stage.setAttribute('role', 'application');
    stage.setAttribute('aria-label', `${card.title}, map over ${this.header.title}. Arrow keys read it.`);
    const at = event => {
      const box = stage.getBoundingClientRect();
      this.read(card.name, (event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width);
    };
    stage.addEventListener('pointermove', at);
    stage.addEventListener('pointerdown', at);
    stage.addEventListener('pointerleave', () => this.leave());
    stage.addEventListener('blur', () => this.leave());
    stage.addEventListener('keydown', event => {
      const step = ARROWS[event.key];
      const map = this.arrays[`${card.name}.map`];
      if (!step || !map) return;
      event.preventDefault();
      event.stopPropagation();
      const [y, x] = this.point ?? [0.5, 0.5];
      this.read(card.name, y + step[0] / map.shape[0], x + step[1] / map.shape[1]);
    });
    stage.append(img, canvas, veil, cross);
    foot.append(badge, closer);
    root.append(title, note, stage, foot);
    const one = { root, note, stage, img, canvas, veil, cross, badge, closer };
    this.cards.set(card.name, one);
    return one;
  }

  fill(one, card) {
    one.card = card;
    one.root.className = `card ${card.state}${card.on ? ' on' : ''}${card.signed ? ' signed' : ''}`;
    one.note.textContent = card.note;
    one.note.title = card.note;
    one.veil.textContent = card.refusal;
    one.stage.style.aspectRatio = `${this.header.size[1]} / ${this.header.size[0]}`;
    one.badge.dataset.state = card.badge.state;
    one.badge.replaceChildren(sign(card.badge.state), el('span', '', card.badge.text));
    one.badge.title = card.badge.words;
    one.badge.setAttribute('aria-label', `${card.title}: ${card.badge.text}. ${card.badge.words}`);
    one.closer.setAttribute('aria-pressed', String(card.on));
  }

  value(name, cell) {
    // in multiples of the map's mean
    const map = this.arrays[`${name}.map`];
    const [low, high] = this.cards.get(name).card.ends;
    return low + (map[cell] / 65535) * (high - low);
  }

  draw() {
    const there = [...this.cards.values()].filter(one => one.card.ends);
    const most = Math.max(...there.map(one => one.card.top), 0);
    const content = this.arrays.content;
    for (const one of this.cards.values()) {
      const { name, ends, low, top, signed } = one.card;
      if (!ends) {
        one.canvas.width = 0;
        one.drawn = '';
        delete one.stage.dataset.drawn;
        continue;
      }
      const to = this.view.scale === 'one' ? most : top;
      const from = signed ? -to : this.view.scale === 'stretch' ? low : 0;
      const map = this.arrays[`${name}.map`];
      const how = `${from} ${to} ${one.card.one}`;
      one.canvas.style.opacity = this.view.opacity;
      if (one.drawn === how && same(one.map, map)) continue;
      one.drawn = how;
      one.map = map;
      const colours = signed ? this.both : this.plain;
      const factor = to > from ? 255 / (to - from) : 0;
      paint(one.canvas, map.shape[0], map.shape[1], cell => {
        if (content && !content[cell]) return 0;
        const value = this.value(name, cell);
        const colour = colours[Math.max(0, Math.min(255, (value - from) * factor)) | 0];
        return signed
          ? ((colour & 0xffffff) | ((Math.sqrt(Math.min(1, to > 0 ? Math.abs(value) / to : 0)) * 255) << 24)) >>> 0
          : colour;
      });
      one.stage.dataset.drawn = how;
    }
  }

  read(name, y, x) {
    y = Math.min(Math.max(y, 0), 1 - 1e-9);
    x = Math.min(Math.max(x, 0), 1 - 1e-9);
    this.point = [y, x];
    this.cross();
    const one = this.cards.get(name);
    const map = this.arrays[`${name}.map`];
    if (!map) {
      this.find('reading').textContent = '';
      return;
    }
    const cell = Math.floor(y * map.shape[0]) * map.shape[1] + Math.floor(x * map.shape[1]);
    if (this.arrays.content && !this.arrays.content[cell]) {
      this.find('reading').textContent = 'Padding: no picture here.';
      return;
    }
    const value = this.value(name, cell);
    this.find('reading').textContent =
      `${one.card.title}: ${value.toFixed(Math.abs(value) < 10 ? 2 : 0)} × the map's mean size; ${(value * one.card.one).toPrecision(3)} in the method's own unit.`;
  }

  cross() {
    for (const one of this.cards.values()) {
      one.cross.style.display = this.point ? 'block' : 'none';
      if (this.point) {
        one.cross.style.top = `${this.point[0] * 100}%`;
        one.cross.style.left = `${this.point[1] * 100}%`;
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
    if (this.open === name && this.dialog.open && this.told === key) return;
    this.open = name;
    this.told = key;
    this.dialog.querySelector('h3').textContent = `${card.title}: ${card.badge.text}`;
    this.find('said').textContent = card.badge.words;
    this.find('rows').replaceChildren(
      ...card.badge.lines.map(line => {
        const row = el('div', 'row');
        const head = el('div', 'head');
        if (line.passed !== null) row.dataset.passed = line.passed;
        head.append(el('b', '', line.title), el('span', '', line.value));
        if (line.passed !== null) head.append(el('i', '', line.passed ? '✓ passed' : '✕ not passed'));
        row.append(head, el('div', 'beside', line.beside), el('div', 'rule', line.rule));
        return row;
      }),
    );
    if (!this.dialog.open) this.dialog.showModal();
  }
}

export default mount(Wall, (one, { setTriggerValue }) => {
  one.act = what => setTriggerValue('act', what);
});
