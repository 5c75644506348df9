const REST = 350; // milliseconds without a change before the page hears of it
const KINDS = { u1: Uint8Array, '<u2': Uint16Array, '<i4': Int32Array, '<f4': Float32Array };
// Okabe and Ito's colours; vizlib/ui/t2t_lineage.py has the same.
const GROUPS = [
  [0, 114, 178],
  [230, 159, 0],
  [0, 158, 115],
  [204, 121, 167],
  [86, 180, 233],
  [213, 94, 0],
  [240, 228, 66],
  [120, 120, 120],
];

export function unpack(bytes) {
  // mirrors vizlib/ui/packing.py
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, false) !== 0x565a5031) throw new Error('not a packed message');
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const arrays = {};
  for (const [name, [kind, shape, at]] of Object.entries(header.arrays)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const Kind = KINDS[kind];
    const start = bytes.byteOffset + 8 + length + at;
    const whole = start % Kind.BYTES_PER_ELEMENT === 0;
    const data = whole
      ? new Kind(bytes.buffer, start, count)
      : new Kind(bytes.slice(8 + length + at, 8 + length + at + count * Kind.BYTES_PER_ELEMENT).buffer);
    arrays[name] = { data, shape };
  }
  return { header, arrays };
}

const row = (array, index) => array.data.subarray(index * array.shape.at(-1), (index + 1) * array.shape.at(-1));
const span = counts => {
  let first = 0;
  let last = counts.length;
  while (first < last && !counts[first]) first++;
  while (last > first && !counts[last - 1]) last--;
  return [first, last];
};
const pack3 = (r, g, b, a = 255) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
const diverging = x => {
  // blue to white to orange over -1..1
  const ends = x < 0 ? [33, 102, 172] : [179, 88, 6];
  const share = Math.min(1, Math.abs(x));
  return pack3(...ends.map(end => Math.round(247 + (end - 247) * share)));
};
const number = x => x.toLocaleString('en', { maximumFractionDigits: 0 });
const percent = x => (100 * x).toFixed(x < 0.1 ? 1 : 0) + ' %';

class SoftSplit {
  constructor(root) {
    this.find = name => root.querySelector('.' + name);
    this.figure = this.find('figure');
    this.sets = this.find('sets');
    this.field = this.find('field');
    this.photo = this.find('photo');
    this.stop = new AbortController();
    const on = (target, kind, act) => target.addEventListener(kind, act, { signal: this.stop.signal });
    for (const radio of root.querySelectorAll('input[name=follow]'))
      on(radio, 'change', () => this.choose({ follow: radio.value }));
    on(this.find('draw'), 'change', e => this.choose({ draw: e.target.value }));
    on(this.find('basis'), 'change', e => this.choose({ basis: e.target.checked ? 'shared' : 'own' }));
    on(this.find('groups'), 'input', e => this.choose({ groups: this.header.groups[e.target.value] }));
    on(this.find('play'), 'click', () => this.play());
    on(this.figure, 'keydown', e => this.key(e));
    on(this.find('photo-stage'), 'pointermove', e => this.overPhoto(e));
    on(this.find('photo-stage'), 'pointerleave', () => this.back());
    on(this.find('photo-stage'), 'click', e => {
      this.overPhoto(e);
      this.pin();
    });
    on(this.find('formula'), 'pointerover', e => this.light(e.target.dataset?.term));
    on(this.find('formula'), 'pointerout', () => this.light(null));
    on(this.find('formula'), 'focusin', e => this.light(e.target.dataset?.term));
    on(this.find('formula'), 'focusout', () => this.light(null));
    this.term = null;
    this.root = root;
  }

  load(bytes) {
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
    const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
    const payload = bytes.subarray(8 + length);
    const same =
      this.payload && this.payload.length === payload.length && this.payload.every((value, i) => value === payload[i]);
    if (!same) {
      this.payload = payload;
      this.stopPlaying();
      Object.assign(this, unpack(payload));
      this.rounds = this.header.rounds;
      this.cells = new Map();
      this.build();
    }
    if (text !== this.given) {
      // what the page repeats must not undo what the hand is doing
      this.given = text;
      if (!this.timer) this.view = JSON.parse(text);
    }
    if (!same || !this.at) this.at = this.pinned();
    this.show();
  }

  // The panels: one for each set of tokens, the hard patches last.
  build() {
    const { header, arrays } = this;
    const [height, width] = header.size;
    this.photo.width = this.field.width = width;
    this.photo.height = this.field.height = height;
    this.find('photo-stage').style.aspectRatio = `${width} / ${height}`;
    const image = new ImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    const rgb = arrays.photo.data;
    for (let i = 0; i < out.length; i++) out[i] = pack3(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
    this.pixels = out;
    this.photo.getContext('2d').putImageData(image, 0, 0);
    const table = arrays.colours.data;
    this.colours = new Uint32Array(256).map((_, i) => pack3(table[3 * i], table[3 * i + 1], table[3 * i + 2]));
    const ramp = new ImageData(256, 1);
    new Uint32Array(ramp.data.buffer).set(this.colours);
    this.find('ramp').getContext('2d').putImageData(ramp, 0, 0);
    this.find('groups').max = header.groups.length - 1;
    this.panels = header.sets.map((set, index) => {
      const box = document.createElement('div');
      const stage = document.createElement('div');
      const canvas = document.createElement('canvas');
      const marks = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
      const name = document.createElement('div');
      const facts = document.createElement('div');
      box.className = 'set';
      stage.className = 'stage';
      marks.setAttribute('class', 'marks');
      marks.setAttribute('preserveAspectRatio', 'none');
      name.className = 'name';
      facts.className = 'facts';
      name.textContent = set.title;
      canvas.height = set.grid[0];
      canvas.width = set.grid[1];
      stage.style.aspectRatio = `${width} / ${height}`;
      marks.setAttribute('viewBox', `0 0 ${set.grid[1]} ${set.grid[0]}`);
      stage.append(canvas, marks);
      box.append(name, stage, facts);
      stage.addEventListener('pointermove', e => this.overSet(e, index));
      stage.addEventListener('pointerleave', () => this.back());
      stage.addEventListener('click', e => {
        this.overSet(e, index);
        this.pin();
      });
      return { box, stage, canvas, marks, facts };
    });
    this.sets.replaceChildren(...this.panels.map(panel => panel.box));
    this.find('photo-stage').querySelector('svg').setAttribute('viewBox', `0 0 ${width} ${height}`);
  }

  // The token that the address names: round, row, column; the middle of the last round where it names none.
  pinned() {
    const parts = String(this.view.token || '')
      .split('.')
      .map(Number);
    const set = parts[0] - 1;
    const grid = this.header.sets[set]?.grid;
    if (grid && parts[1] < grid[0] && parts[2] < grid[1]) return { set, y: parts[1], x: parts[2] };
    const last = this.rounds - 1;
    const [h, w] = this.header.sets[last].grid;
    return { set: last, y: h >> 1, x: (w >> 1) - 1 };
  }

  choose(part) {
    Object.assign(this.view, part);
    this.show();
    this.tell();
  }
  pin() {
    this.view.token = `${this.at.set + 1}.${this.at.y}.${this.at.x}`;
    this.stopPlaying();
    this.tell();
  }
  tell() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.send('view', { ...this.view });
    }, REST);
  }
  back() {
    if (!this.playing) this.move(this.pinned());
  }

  place(e, stage, grid) {
    const box = stage.getBoundingClientRect();
    const inside = (value, length) => Math.min(length - 1, Math.max(0, Math.floor(value * length)));
    return {
      y: inside((e.clientY - box.top) / box.height, grid[0]),
      x: inside((e.clientX - box.left) / box.width, grid[1]),
    };
  }
  overSet(e, set) {
    this.stopPlaying();
    this.move({ set, ...this.place(e, this.panels[set].stage, this.header.sets[set].grid) });
  }
  overPhoto(e) {
    this.stopPlaying();
    this.move({ set: this.at.set, ...this.place(e, this.find('photo-stage'), this.header.sets[this.at.set].grid) });
  }

  move(at) {
    if (this.at && at.set === this.at.set && at.y === this.at.y && at.x === this.at.x) return;
    this.at = at;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  key(e) {
    if (['INPUT', 'SELECT', 'BUTTON'].includes(e.target.tagName)) return;
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    const level = { PageUp: 1, PageDown: -1 }[e.key];
    if (e.key === 'Enter') {
      this.pin();
      return;
    }
    if (!step && !level) return;
    e.preventDefault();
    e.stopPropagation();
    this.stopPlaying();
    const sets = this.header.sets;
    const inside = (value, length) => Math.min(length - 1, Math.max(0, value));
    if (step) {
      const [h, w] = sets[this.at.set].grid;
      this.move({ set: this.at.set, y: inside(this.at.y + step[0], h), x: inside(this.at.x + step[1], w) });
    } else {
      const set = inside(this.at.set + level, sets.length);
      this.move({ set, ...this.same(this.at, set) });
    }
  }

  // The cell of another set at the same place of the picture.
  same(at, set) {
    const from = this.header.sets[at.set].grid;
    const to = this.header.sets[set].grid;
    return { y: Math.floor(((at.y + 0.5) / from[0]) * to[0]), x: Math.floor(((at.x + 0.5) / from[1]) * to[1]) };
  }

  play() {
    if (this.playing) {
      this.stopPlaying();
      return;
    }
    const set = Math.min(this.at.set, this.rounds - 1);
    const [h, w] = this.header.sets[set].grid;
    let index = 0;
    const step = () => {
      this.move({ set, y: Math.floor(index / w), x: index % w });
      index = (index + 1) % (h * w);
    };
    this.playing = setInterval(step, w > 20 ? 60 : 160);
    step();
    this.find('play').setAttribute('aria-pressed', 'true');
    this.find('play').textContent = '■ Stop';
  }
  stopPlaying() {
    if (!this.playing) return;
    clearInterval(this.playing);
    this.playing = 0;
    this.find('play').setAttribute('aria-pressed', 'false');
    this.find('play').textContent = '▶ Play';
  }

  show() {
    const { view, header } = this;
    for (const radio of this.root.querySelectorAll('input[name=follow]')) radio.checked = radio.value === view.follow;
    this.find('draw').value = view.draw;
    this.find('basis').checked = view.basis === 'shared';
    this.find('groups').value = header.groups.indexOf(Number(view.groups));
    this.find('count').textContent = view.groups;
    this.find('basis-box').style.display = view.draw === 'colours' ? '' : 'none';
    this.find('groups-box').style.display = view.draw === 'groups' ? '' : 'none';
    this.draw();
  }

  light(term) {
    this.term = term ?? null;
    for (const one of this.find('formula').querySelectorAll('.term'))
      one.classList.toggle('on', one.dataset.term === term);
    this.drawField();
    this.drawMarks();
  }

  draw() {
    if (!this.at) return;
    this.drawMaps();
    this.drawField();
    this.tellFormula();
    this.drawMarks();
    this.drawMaking();
    this.figure.dataset.drawn = `${this.at.set}.${this.at.y}.${this.at.x} ${this.view.draw} ${this.view.follow}`;
  }

  // ---- the maps of the tokens

  drawMaps() {
    const { draw, basis, groups } = this.view;
    const { arrays, header } = this;
    const how = `${draw} ${basis} ${groups}`;
    header.sets.forEach((set, index) => {
      if (how === this.panels[index].how && draw !== 'likeness') return;
      this.panels[index].how = how;
      const [h, w] = set.grid;
      const image = new ImageData(w, h);
      const out = new Uint32Array(image.data.buffer);
      let facts = '';
      if (draw === 'colours') {
        const rgb = arrays[`${basis === 'shared' ? 'shared' : 'own'}${index}`].data;
        for (let i = 0; i < out.length; i++) out[i] = pack3(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
        facts =
          basis === 'shared' && set.together !== 'alone' ? `one basis for rounds ${set.together}` : 'its own basis';
      } else if (draw === 'length') {
        const v = arrays[`norms${index}`].data;
        let low = Infinity;
        let high = -Infinity;
        for (const x of v) {
          low = Math.min(low, x);
          high = Math.max(high, x);
        }
        for (let i = 0; i < out.length; i++)
          out[i] = this.colours[high > low ? Math.round(((v[i] - low) / (high - low)) * 255) : 0];
        facts = `dark ${low.toPrecision(3)}, bright ${high.toPrecision(3)}`;
      } else if (draw === 'groups') {
        const labels = row(
          { data: arrays[`groups${index}`].data, shape: [0, h * w] },
          header.groups.indexOf(Number(groups)),
        );
        const sizes = new Map();
        for (let i = 0; i < out.length; i++) {
          out[i] = pack3(...GROUPS[labels[i]]);
          sizes.set(labels[i], (sizes.get(labels[i]) ?? 0) + 1);
        }
        facts = `largest ${percent((sizes.get(0) ?? 0) / out.length)} of its tokens`;
      } else {
        const at = index === this.at.set ? this.at : this.same(this.at, index);
        const cosines = this.cosines(index, at.y * w + at.x);
        let sum = 0;
        for (let i = 0; i < out.length; i++) {
          out[i] = diverging(cosines[i]);
          sum += cosines[i];
        }
        facts = `orange alike, blue opposite; mean cosine ${(sum / out.length).toFixed(2)}`;
      }
      this.panels[index].canvas.getContext('2d').putImageData(image, 0, 0);
      this.panels[index].facts.textContent = `${h} × ${w} tokens of ${set.channels} numbers; ${facts}`;
    });
  }

  cosines(index, token) {
    const array = this.arrays[`tokens${index}`];
    const [count, width] = array.shape;
    const me = row(array, token);
    const out = new Float32Array(count);
    const norms = this.arrays[`norms${index}`].data;
    for (let i = 0; i < count; i++) {
      let dot = 0;
      for (let c = 0, at = i * width; c < width; c++) dot += array.data[at + c] * me[c];
      const size = norms[i] * norms[token];
      out[i] = size > 0 ? dot / size : 0;
    }
    return out;
  }

  // ---- the pixels that a token is made of

  attends() {
    return (this.view.follow === 'attention' || this.term === 'attention') && this.at.set < this.rounds;
  }

  // One row of the first round's lineage: half the token itself, half what it attends to, the performer's features or a softmax.
  firstRow(token) {
    const q = row(this.arrays.q, token);
    const {
      data,
      shape: [count, width],
    } = this.arrays.k;
    const out = new Float32Array(count);
    let top = -Infinity;
    for (let i = 0; i < count; i++) {
      let dot = 0;
      for (let c = 0, at = i * width; c < width; c++) dot += q[c] * data[at + c];
      out[i] = dot * this.header.scale;
      top = Math.max(top, out[i]);
    }
    let sum = 0;
    for (let i = 0; i < count; i++) {
      if (this.header.kind === 'softmax') out[i] = Math.exp(out[i] - top);
      sum += out[i];
    }
    for (let i = 0; i < count; i++) out[i] *= 0.5 / sum;
    out[token] += 0.5;
    return out;
  }

  // Shares of the windows of the first split, for the token pointed at.
  lineage() {
    const { set, y, x } = this.at;
    const token = y * this.header.sets[set].grid[1] + x;
    if (set === 0) return this.rounds > 1 ? this.firstRow(token) : null;
    const levels = row(this.arrays[`lineage${set}`], token);
    const unit = this.arrays[`peaks${set}`].data[token] / 65535;
    return Float32Array.from(levels, level => level * unit);
  }

  // Values per pixel: path counts along windows, or shares of the lineage, and what part of it lies outside the windows.
  values() {
    const { set, y, x } = this.at;
    const { arrays, header } = this;
    const [height, width] = header.size;
    const out = new Float32Array(height * width);
    const down = row(arrays[`down${set}`], y);
    const across = row(arrays[`across${set}`], x);
    if (!this.attends()) {
      for (let r = 0; r < height; r++)
        if (down[r]) for (let c = 0; c < width; c++) out[r * width + c] = down[r] * across[c];
      return { out, outside: 0 };
    }
    const cells = this.lineage();
    const [h, w] = header.sets[0].grid;
    const rows = arrays.step_down0;
    const columns = arrays.step_across0;
    const half = new Float32Array(h * width); // each cell spreads evenly over its window, first across, then down
    const spread = (line, index) => {
      let sum = 0;
      for (const v of line) sum += v;
      return [...span(line), sum || 1];
    };
    const spansX = Array.from({ length: w }, (_, i) => spread(row(columns, i)));
    const spansY = Array.from({ length: h }, (_, i) => spread(row(rows, i)));
    for (let r = 0; r < h; r++)
      for (let c = 0; c < w; c++) {
        const [first, last, sum] = spansX[c];
        const v = cells[r * w + c] / sum;
        for (let i = first; i < last; i++) half[r * width + i] += v;
      }
    for (let r = 0; r < h; r++) {
      const [first, last, sum] = spansY[r];
      for (let i = first; i < last; i++)
        for (let c = 0; c < width; c++) out[i * width + c] += half[r * width + c] / sum;
    }
    let total = 0;
    let outside = 0;
    for (let r = 0; r < height; r++)
      for (let c = 0; c < width; c++) {
        const v = out[r * width + c];
        total += v;
        if (!down[r] || !across[c]) outside += v;
      }
    return { out, outside: outside / total };
  }

  drawField() {
    if (!this.at) return;
    const [height, width] = this.header.size;
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const { out, outside } = this.values();
    const attends = this.attends();
    const whole = this.term === 'overlap' && !attends;
    let peak = 0;
    if (whole) {
      const all = this.overlap();
      for (let i = 0; i < out.length; i++) out[i] = all[i];
    }
    for (const v of out) peak = Math.max(peak, v);
    for (let i = 0; i < out.length; i++) {
      const level = Math.round(Math.sqrt(out[i] / peak) * 255);
      const straight = Math.round((out[i] / peak) * 255);
      pixels[i] = out[i] > 0 ? ((this.colours[attends ? level : straight] & 0xffffff) | (150 << 24)) >>> 0 : 0x90000000;
    }
    this.field.getContext('2d').putImageData(image, 0, 0);
    this.peak = peak;
    this.outside = outside;
    this.find('low').textContent = '0';
    this.find('high').textContent = attends ? percent(peak) : `${peak}`;
    this.find('unit').textContent = attends
      ? 'share of the token’s lineage per pixel (colours by its root)'
      : whole
        ? 'windows of this round that take a pixel in'
        : 'paths from the pixel to the token';
  }

  // How many paths leave each pixel, to all tokens of the round together.
  overlap() {
    const sum = array => {
      const [count, length] = array.shape;
      const out = new Float32Array(length);
      for (let i = 0; i < count * length; i++) out[i % length] += array.data[i];
      return out;
    };
    const name = this.at.set;
    const down = sum(this.arrays[`down${name}`]);
    const across = sum(this.arrays[`across${name}`]);
    const out = new Float32Array(down.length * across.length);
    for (let r = 0; r < down.length; r++)
      for (let c = 0; c < across.length; c++) out[r * across.length + c] = down[r] * across[c];
    return out;
  }

  box(set, y, x) {
    const [y0, y1] = span(row(this.arrays[`down${set}`], y));
    const [x0, x1] = span(row(this.arrays[`across${set}`], x));
    return [y0, x0, y1, x1];
  }
  // The cells one round down, and those of all rounds below them.
  parents(set, y0, x0, y1, x1) {
    const down = this.arrays[`step_down${set}`];
    const across = this.arrays[`step_across${set}`];
    return [span(row(down, y0))[0], span(row(across, x0))[0], span(row(down, y1 - 1))[1], span(row(across, x1 - 1))[1]];
  }

  drawMarks() {
    if (!this.at) return;
    const { set, y, x } = this.at;
    const svg = this.find('photo-stage').querySelector('svg');
    const rect = ([y0, x0, y1, x1], kind) =>
      (kind === 'other' ? ['other'] : ['halo', 'line'])
        .map(name => `<rect class="${name}" x="${x0}" y="${y0}" width="${x1 - x0}" height="${y1 - y0}"></rect>`)
        .join('');
    const [h, w] = this.header.sets[set].grid;
    let around = '';
    if (this.term === 'overlap' || this.term === 'stride')
      for (const [dy, dx] of [
        [-1, 0],
        [1, 0],
        [0, -1],
        [0, 1],
      ])
        if (y + dy >= 0 && y + dy < h && x + dx >= 0 && x + dx < w)
          around += rect(this.box(set, y + dy, x + dx), 'other');
    svg.innerHTML = around + rect(this.box(set, y, x));
    const boxes = new Map([[set, [y, x, y + 1, x + 1]]]);
    if (set < this.rounds)
      for (let level = set; level > 0; level--) boxes.set(level - 1, this.parents(level, ...boxes.get(level)));
    this.panels.forEach(({ box, marks }, index) => {
      box.classList.toggle('on', index === set);
      box.classList.toggle(
        'flash',
        (this.term === 'token' && index === set) || (this.term === 'window' && index === set - 1 && set < this.rounds),
      );
      const other = !boxes.has(index) && this.view.draw === 'likeness' ? this.same(this.at, index) : null;
      marks.innerHTML = boxes.has(index)
        ? rect(boxes.get(index))
        : other
          ? rect([other.y, other.x, other.y + 1, other.x + 1], 'other')
          : '';
    });
    this.find('photo-stage').classList.toggle('flash', this.term === 'window' && (set === 0 || set >= this.rounds));
  }

  // ---- the formula, the pieces and the words

  tellFormula() {
    const { set, y, x } = this.at;
    const { sets, kind } = this.header;
    const [k, s] = sets[set].window;
    const hard = set >= this.rounds;
    const last = set === this.rounds - 1;
    const term = (name, text) => `<span class="term" tabindex="0" data-term="${name}">${text}</span>`;
    const source = hard || set === 0 ? 'pixels' : `T<sub>${set}</sub>`;
    const inner = `${term('window', `unfold<sub>${k}×${k}</sub>(${source})`)}`;
    const inputs = hard || set === 0 ? 3 : sets[set - 1].channels;
    const what = kind === 'performer' ? 'performer attention' : 'attention';
    const name = term('token', hard ? `patch[${y}, ${x}]` : `T<sub>${set + 1}</sub>[${y}, ${x}]`);
    const step = term('overlap', `stride ${s}`);
    const body = hard
      ? `projection( ${inner} )`
      : last
        ? `projection( ${inner} )`
        : `${inner} + ${term('attention', what)}`;
    const formula = `${name} = ${body}, ${step}`;
    const words = `${k} × ${k} × ${inputs} = ${number(k * k * inputs)} numbers become ${sets[set].channels}`;
    const overlap = k > s ? `; neighbours share ${k - s} of ${k} rows` : '; neighbours share nothing';
    const html = `${formula}<span class="where">${words}${overlap}. Point at a part of the formula to light it up.</span>`;
    if (html !== this.formula) {
      this.find('formula').innerHTML = html;
      this.formula = html;
    }
    this.tellReading(hard, last);
  }

  tellReading(hard, last) {
    const { set, y, x } = this.at;
    const [y0, x0, y1, x1] = this.box(set, y, x);
    const { sets, size, kind } = this.header;
    const area = (y1 - y0) * (x1 - x0);
    const of = percent(area / (size[0] * size[1]));
    const down = row(this.arrays[`down${set}`], y);
    const across = row(this.arrays[`across${set}`], x);
    const most = Math.max(...down) * Math.max(...across);
    const title = hard ? sets[set].title : `Round ${set + 1}`;
    const parts = [
      `${title}, row ${y}, column ${x}: its windows cover ${y1 - y0} × ${x1 - x0} pixels, ${of} of the picture`,
    ];
    parts[0] += most > 1 ? `, and count a pixel up to ${number(most)} times.` : ', each once.';
    if (this.attends())
      parts.push(`With attention at half weight, ${percent(this.outside)} of its lineage comes from outside them.`);
    else if (!hard && (set > 0 || !last))
      parts.push(`The ${kind === 'performer' ? 'performers' : 'token transformers'} reach further: follow them too.`);
    this.find('reading').textContent = parts.join(' ');
  }

  drawMaking() {
    const { set, y, x } = this.at;
    const { arrays, header } = this;
    const [k] = header.sets[set].window;
    const hard = set >= this.rounds;
    const first = hard || set === 0;
    const [height, width] = first ? header.size : header.sets[set - 1].grid;
    const channels = first ? 3 : header.sets[set - 1].channels;
    const [, s, p] = header.sets[set].window;
    const top = y * s - p;
    const left = x * s - p;
    const image = new ImageData(k, k);
    const out = new Uint32Array(image.data.buffer);
    const unfolded = new Float32Array(k * k * channels);
    const tokens = first ? null : arrays[`tokens${set - 1}`];
    const rgb = first ? null : arrays[`${this.view.basis === 'shared' ? 'shared' : 'own'}${set - 1}`].data;
    for (let r = 0; r < k; r++)
      for (let c = 0; c < k; c++) {
        const i = r * k + c;
        const yy = top + r;
        const xx = left + c;
        if (yy < 0 || xx < 0 || yy >= height || xx >= width) {
          out[i] = (r + c) % 2 ? 0x40808080 : 0x20808080;
          continue;
        }
        const at = yy * width + xx;
        out[i] = first ? this.pixels[at] : pack3(rgb[3 * at], rgb[3 * at + 1], rgb[3 * at + 2]);
        for (let ch = 0; ch < channels; ch++)
          unfolded[ch * k * k + i] = first
            ? ((this.pixels[at] >> (8 * ch)) & 255) / 127.5 - 1
            : tokens.data[at * channels + ch];
      }
    const patch = this.find('patch');
    patch.width = patch.height = k;
    patch.getContext('2d').putImageData(image, 0, 0);
    this.find('patch-name').textContent = first ? `${k} × ${k} pixels` : `${k} × ${k} tokens of round ${set}`;
    this.strip(this.find('unfolded'), unfolded);
    this.find('unfolded-name').textContent = `unfolded: ${number(unfolded.length)} numbers${first ? ' (colours)' : ''}`;
    this.strip(this.find('token'), row(arrays[`tokens${set}`], y * header.sets[set].grid[1] + x));
    this.find('token-name').textContent = `the token: ${header.sets[set].channels} numbers`;
  }

  strip(canvas, values) {
    let most = 1e-12;
    for (const v of values) most = Math.max(most, Math.abs(v));
    const image = new ImageData(values.length, 1);
    const out = new Uint32Array(image.data.buffer);
    for (let i = 0; i < values.length; i++) out[i] = diverging(values[i] / most);
    canvas.width = values.length;
    canvas.height = 1;
    canvas.getContext('2d').putImageData(image, 0, 0);
  }

  destroy() {
    this.stop.abort();
    this.stopPlaying();
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
  }
}

export default keep(
  home => new SoftSplit(home),
  (split, { data, setStateValue }) => {
    split.send = setStateValue;
    if (data && data.length) split.load(data);
  },
  split => split.destroy(),
);
