const REST = 350; // milliseconds without a change before the page hears of it
const KINDS = { u1: Uint8Array, '<u2': Uint16Array, '<i4': Int32Array, '<f4': Float32Array };

export function unpack(bytes) {
  // mirrors vizlib/ui/packing.py
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, false) !== 0x565a5031) throw new Error('not a packed message');
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const arrays = {};
  for (const [name, [kind, shape, at]] of Object.entries(header.arrays)) {
    const Kind = KINDS[kind];
    const count = shape.reduce((a, b) => a * b, 1);
    const start = 8 + length + at;
    arrays[name] = { data: new Kind(bytes.slice(start, start + count * Kind.BYTES_PER_ELEMENT).buffer), shape };
  }
  return { header, arrays };
}

const row = (array, index) => {
  const width = array.shape.slice(1).reduce((a, b) => a * b, 1);
  return array.data.subarray(index * width, (index + 1) * width);
};
const span = counts => {
  let first = 0;
  let last = counts.length;
  while (first < last && !counts[first]) first++;
  while (last > first && !counts[last - 1]) last--;
  return [first, last];
};
const pack4 = (r, g, b, a = 255) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
const percent = x => (100 * x).toFixed(x < 0.1 ? 1 : 0) + ' %';
const signed = x => (x < 0 ? '−' : '+') + Math.abs(x).toFixed(2);

// How few pixels hold half of the sum.
const half = values => {
  const sorted = values
    .filter(v => v > 0)
    .sort()
    .reverse();
  const total = sorted.reduce((a, b) => a + b, 0);
  let sum = 0;
  let count = 0;
  while (sum < total / 2) sum += sorted[count++];
  return count;
};

class Columns {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.figure = this.find('figure');
    this.stop = new AbortController();
    const on = (target, kind, act) => target.addEventListener(kind, act, { signal: this.stop.signal });
    for (const name of ['cover', 'readout'])
      for (const radio of root.querySelectorAll(`input[name=${name}]`))
        on(radio, 'change', () => this.choose({ [name]: radio.value }));
    on(this.find('label'), 'change', e => this.choose({ label: e.target.value, readout: 'shares' }));
    on(this.figure, 'keydown', e => this.key(e));
    for (const term of root.querySelectorAll('.term')) {
      for (const kind of ['pointerenter', 'focus']) on(term, kind, () => this.light(term.dataset.term));
      for (const kind of ['pointerleave', 'blur']) on(term, kind, () => this.light(null));
    }
    this.term = null;
  }

  load(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const parts = [];
    for (let at = 0; at < bytes.length;) {
      const length = Number(view.getBigUint64(at, true));
      parts.push(bytes.subarray(at + 8, at + 8 + length));
      at += 8 + length;
    }
    const text = new TextDecoder().decode(parts[0]);
    const same = (a, b) => a && a.length === b.length && a.every((value, i) => value === b[i]);
    if (text !== this.given) {
      this.given = text;
      if (!this.timer) this.view = JSON.parse(text);
    }
    const payload = parts.slice(1);
    const fresh =
      !this.payload ||
      this.payload.length !== payload.length ||
      payload.some((part, i) => !same(this.payload[i], part));
    if (fresh) {
      this.payload = payload;
      this.models = payload.map(unpack);
      this.build();
    }
    if (fresh || !this.at) this.at = this.pinned();
    this.show();
  }

  build() {
    this.boxes = this.models.map(({ header, arrays }) => {
      const [height, width] = header.size;
      const make = (tag, kind) => {
        const one = document.createElement(tag);
        one.className = kind;
        return one;
      };
      const box = make('div', 'column');
      const name = make('div', 'name');
      const answer = make('div', 'answer');
      const coverFacts = make('div', 'facts');
      const readFacts = make('div', 'facts');
      name.textContent = header.title;
      const order = header.order
        .slice(0, 2)
        .map(index => `${header.labels[index]} ${percent(arrays.probabilities.data[index])}`);
      answer.textContent = header.untrained ? 'untrained: random weights, no answer' : `answers ${order.join(', ')}`;
      const stage = kind => {
        const one = make('div', `stage ${kind}`);
        const photo = make('canvas', 'photo');
        const field = make('canvas', 'field');
        const marks = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
        marks.setAttribute('class', 'marks');
        marks.setAttribute('preserveAspectRatio', 'none');
        marks.setAttribute('viewBox', `0 0 ${width} ${height}`);
        one.style.aspectRatio = `${width} / ${height}`;
        photo.width = width;
        photo.height = height;
        const image = new ImageData(width, height);
        const out = new Uint32Array(image.data.buffer);
        const rgb = arrays.photo.data;
        for (let i = 0; i < out.length; i++) out[i] = pack4(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
        photo.getContext('2d').putImageData(image, 0, 0);
        one.append(photo, field, marks);
        one.addEventListener('pointermove', e => this.over(e, one, header.grid));
        one.addEventListener('pointerleave', () => this.move(this.pinned()));
        one.addEventListener('click', e => {
          this.over(e, one, header.grid);
          this.pin();
        });
        return { one, field, marks };
      };
      const cover = stage('cover');
      const readout = stage('readout');
      box.append(name, answer, cover.one, coverFacts, readout.one, readFacts);
      return { box, cover, readout, coverFacts, readFacts };
    });
    this.find('columns').replaceChildren(...this.boxes.map(one => one.box));
    const table = this.models[0].arrays.colours.data;
    this.colours = new Uint32Array(256).map((_, i) => pack4(table[3 * i], table[3 * i + 1], table[3 * i + 2]));
    const labels = [...new Set(this.models.flatMap(({ header, arrays }) => (arrays.parts ? header.labels : [])))].sort(
      (a, b) => a.localeCompare(b),
    );
    const select = this.find('label');
    select.replaceChildren(new Option('each model’s own answer', ''), ...labels.map(label => new Option(label, label)));
  }

  // Places are shares of the picture, so that models with other grids can be compared.
  pinned() {
    const [y, x] = String(this.view.token || '')
      .split(',')
      .map(Number);
    return y >= 0 && y <= 1 && x >= 0 && x <= 1 ? { y, x } : { y: 0.45, x: 0.45 };
  }
  over(e, stage) {
    const box = stage.getBoundingClientRect();
    const inside = value => Math.min(0.9999, Math.max(0, value));
    this.move({ y: inside((e.clientY - box.top) / box.height), x: inside((e.clientX - box.left) / box.width) });
  }
  move(at) {
    this.at = at;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }
  pin() {
    this.view.token = `${this.at.y.toFixed(3)},${this.at.x.toFixed(3)}`;
    this.tell();
  }
  choose(part) {
    Object.assign(this.view, part);
    this.show();
    this.tell();
  }
  tell() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.send('view', { ...this.view });
    }, REST);
  }
  light(term) {
    this.term = term;
    this.figure.classList.toggle('flash', term === 'tokens');
    this.draw();
  }

  key(e) {
    if (['INPUT', 'SELECT'].includes(e.target.tagName)) return;
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    if (e.key === 'Enter') this.pin();
    if (!step) return;
    e.preventDefault();
    e.stopPropagation();
    const [h, w] = this.models.at(-1).header.grid;
    const inside = (value, count) => (Math.min(count - 1, Math.max(0, value)) + 0.5) / count;
    this.move({ y: inside(Math.floor(this.at.y * h) + step[0], h), x: inside(Math.floor(this.at.x * w) + step[1], w) });
  }

  show() {
    for (const name of ['cover', 'readout'])
      for (const radio of this.root.querySelectorAll(`input[name=${name}]`))
        radio.checked = radio.value === this.view[name];
    this.find('label').value = this.view.label ?? '';
    this.find('label-box').style.display = this.view.readout === 'shares' ? '' : 'none';
    this.draw();
  }

  draw() {
    if (!this.at) return;
    this.models.forEach((model, index) => {
      this.drawCover(model, this.boxes[index]);
      this.drawReadout(model, this.boxes[index]);
    });
    this.figure.dataset.drawn = `${this.at.y.toFixed(3)},${this.at.x.toFixed(3)} ${this.view.cover} ${this.view.readout}`;
  }

  cell({ header }) {
    const [h, w] = header.grid;
    const y = Math.floor(this.at.y * h);
    const x = Math.floor(this.at.x * w);
    return { y, x, index: y * w + x };
  }
  mark(marks, [y0, x0, y1, x1]) {
    marks.innerHTML = ['halo', 'line']
      .map(kind => `<rect class="${kind}" x="${x0}" y="${y0}" width="${x1 - x0}" height="${y1 - y0}"></rect>`)
      .join('');
  }

  drawCover(model, { cover, coverFacts }) {
    const { header, arrays } = model;
    const [height, width] = header.size;
    const { y, x, index } = this.cell(model);
    const down = row(arrays.down, y);
    const across = row(arrays.across, x);
    const [y0, y1] = span(down);
    const [x0, x1] = span(across);
    const routed = this.view.cover === 'routes' && arrays.routes;
    const values = new Float32Array(height * width);
    if (routed) {
      const [, tall, wide] = arrays.routes.shape;
      const levels = row(arrays.routes, index);
      const [top, left] = row(arrays.corners, index);
      for (let r = 0; r < tall; r++)
        for (let c = 0; c < wide; c++) values[(top + r) * width + left + c] = levels[r * wide + c];
    } else for (let r = y0; r < y1; r++) for (let c = x0; c < x1; c++) values[r * width + c] = down[r] * across[c];
    let peak = 0;
    for (const v of values) peak = Math.max(peak, v);
    const image = new ImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    for (let i = 0; i < out.length; i++)
      out[i] =
        values[i] > 0
          ? ((this.colours[Math.round((routed ? Math.sqrt(values[i] / peak) : values[i] / peak) * 255)] & 0xffffff) |
              (150 << 24)) >>>
            0
          : 0x90000000;
    cover.field.width = width;
    cover.field.height = height;
    cover.field.getContext('2d').putImageData(image, 0, 0);
    this.mark(cover.marks, [y0, x0, y1, x1]);
    const most = Math.max(...down) * Math.max(...across);
    const area = (y1 - y0) * (x1 - x0);
    coverFacts.textContent = routed
      ? `Along the maxima of this picture, half of the token comes from ${half(values)} of the ${y1 - y0} × ${x1 - x0} = ${area} pixels in reach.`
      : `A token takes in ${y1 - y0} × ${x1 - x0} pixels, ${percent(area / (height * width))} of the picture` +
        (most > 1 ? `, along up to ${most} paths each.` : ', each once, and shares none with its neighbours.') +
        (this.view.cover === 'routes' ? ' It has no max-pool.' : '');
  }

  drawReadout(model, { readout, readFacts }) {
    const { header, arrays } = model;
    const [h, w] = header.grid;
    const { index, y, x } = this.cell(model);
    const what = this.term === 'weights' || this.term === 'shares' ? this.term : this.view.readout;
    const image = new ImageData(w, h);
    const out = new Uint32Array(image.data.buffer);
    const weights = arrays.weights.data;
    let text;
    if (what === 'shares' && arrays.parts) {
      const wanted = this.view.label ? header.labels.indexOf(this.view.label) : header.order[0];
      if (wanted < 0) {
        out.fill(0x90808080);
        text = `It has no class ${this.view.label}.`;
      } else {
        const parts = row(arrays.parts, wanted);
        let most = 1e-12;
        let sum = 0;
        for (const v of parts) {
          most = Math.max(most, Math.abs(v));
          sum += v;
        }
        for (let i = 0; i < out.length; i++) {
          const ends = parts[i] < 0 ? [33, 102, 172] : [179, 88, 6];
          const share = Math.abs(parts[i]) / most;
          out[i] = pack4(...ends.map(end => Math.round(247 + (end - 247) * share)), 60 + Math.round(150 * share));
        }
        const bias = arrays.bias.data[wanted];
        text = `This token adds ${signed(parts[index])} to “${header.labels[wanted]}”. All ${h * w} add ${signed(sum)}, the bias ${signed(bias)}: the logit is ${signed(arrays.logits.data[wanted])}, exactly. Orange for, blue against.`;
      }
    } else {
      let top = 0;
      let entropy = 0;
      let total = 0;
      for (const v of weights) {
        top = Math.max(top, v);
        total += v;
      }
      for (const v of weights) if (v > 0) entropy -= (v / total) * Math.log(v / total);
      for (let i = 0; i < out.length; i++)
        out[i] = ((this.colours[Math.round((weights[i] / top) * 255)] & 0xffffff) | (165 << 24)) >>> 0;
      const pooled = Boolean(arrays.parts);
      text = pooled
        ? `Sequence pooling reads this token with ${percent(weights[index])}; the brightest gets ${percent(top)}. It pools like ${Math.exp(entropy).toFixed(0)} of ${h * w} tokens.`
        : `The class token’s last attention gives this token ${percent(weights[index])}, the brightest ${percent(top)}, itself ${percent(header.own)}.`;
      if (what === 'shares')
        text = `A class token mixes in every block, so no token has an exact share of a logit. ${text}`;
    }
    readout.field.width = w;
    readout.field.height = h;
    readout.field.getContext('2d').putImageData(image, 0, 0);
    const [height, width] = header.size;
    this.mark(readout.marks, [(y / h) * height, (x / w) * width, ((y + 1) / h) * height, ((x + 1) / w) * width]);
    readFacts.textContent = text;
  }

  destroy() {
    this.stop.abort();
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
  }
}

export default keep(
  home => new Columns(home),
  (columns, { data, setStateValue }) => {
    columns.send = setStateValue;
    if (data && data.length) columns.load(data);
  },
  columns => columns.destroy(),
);
