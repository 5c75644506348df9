const REST = 350; // milliseconds without a change before the page hears of it
const SIDE = 6;
const SIZE = 540;
const GAP = 6; // a wall of 6 x 6 maps, in pixels of its canvas
const KINDS = { u1: Uint8Array, '<u2': Uint16Array, '<i4': Int32Array, '<f4': Float32Array };
const GREEN = '#009e73';
const RED = '#d55e00';

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
    arrays[name] = new Kind(bytes.slice(start, start + count * Kind.BYTES_PER_ELEMENT).buffer);
  }
  return { header, arrays };
}

class ChannelWall {
  constructor(root) {
    this.find = name => root.querySelector('.' + name);
    this.figure = this.find('figure');
    this.find('order').addEventListener('change', e => this.choose({ order: e.target.value }));
    this.find('scaling').addEventListener('change', e => this.choose({ scaling: e.target.value }));
    this.find('bare').addEventListener('change', e => this.choose({ way: e.target.checked ? 'bare' : 'true' }));
  }

  load(bytes) {
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
    const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
    const payload = bytes.subarray(8 + length);
    const same =
      this.payload && this.payload.length === payload.length && this.payload.every((value, i) => value === payload[i]);
    if (text !== this.given) {
      this.given = text;
      if (!this.timer) this.view = JSON.parse(text);
    }
    if (!same) {
      this.payload = payload;
      Object.assign(this, unpack(payload));
      this.build();
    }
    this.show();
  }

  build() {
    const { rules } = this.header;
    this.find('rules').textContent =
      `low-level: correlation with the picture's gradients (R) over ${rules.edge}; dead: deviation under ${rules.flat} of the layer's median; ` +
      `exploding: largest value over ${rules.times} times the layer's median and ${rules.deviations} robust deviations of its logarithm`;
    this.walls = this.header.walls.map((wall, index) => {
      const box = document.createElement('div');
      const head = document.createElement('div');
      const title = document.createElement('b');
      const select = document.createElement('select');
      const canvas = document.createElement('canvas');
      const facts = document.createElement('div');
      box.className = 'wall';
      head.className = 'head';
      facts.className = 'facts';
      title.textContent = wall.title;
      select.setAttribute('aria-label', `Layer of ${wall.title}`);
      wall.layers.forEach((layer, i) => select.add(new Option(layer.title, i)));
      canvas.width = canvas.height = SIZE;
      canvas.tabIndex = 0;
      canvas.setAttribute('role', 'img');
      select.addEventListener('change', () => {
        const layers = [...(this.view.layers ?? [])];
        layers[index] = Number(select.value);
        this.choose({ layers: Array.from(layers, one => one ?? 0) });
      });
      canvas.addEventListener('pointermove', e => this.read(index, e));
      canvas.addEventListener('pointerleave', () => {
        this.find('reading').textContent = '';
      });
      head.append(title, select);
      box.append(head, canvas, facts);
      return { box, select, canvas, facts };
    });
    this.find('walls').replaceChildren(...this.walls.map(wall => wall.box));
  }

  choose(part) {
    Object.assign(this.view, part);
    this.show();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.send('view', { ...this.view });
    }, REST);
  }

  show() {
    const { order, scaling, way } = this.view;
    this.find('order').value = order;
    this.find('scaling').value = scaling;
    this.find('bare').checked = way === 'bare';
    this.walls.forEach((wall, index) => this.draw(wall, index));
    this.find('walls').dataset.drawn = `${order} ${scaling} ${way}`;
  }

  draw(wall, index) {
    const { layers } = this.header.walls[index];
    const { order, scaling, way } = this.view;
    const chosen = layers[this.view.layers?.[index]] ?? layers[0];
    wall.select.value = layers.indexOf(chosen);
    const one = chosen.ways[way] ?? chosen.ways.true;
    const part = name => this.arrays[`${one.key}.${name}`];
    const [h, w] = one.grid;
    const maps = part('maps');
    const low = part('low');
    const high = part('high');
    const edge = part('edge');
    const deviation = part('deviation');
    const flags = part('flags');
    const numbers = Array.from({ length: one.channels }, (_, i) => i);
    if (order === 'edge') numbers.sort((a, b) => Math.abs(edge[b]) - Math.abs(edge[a]));
    if (order === 'variance') numbers.sort((a, b) => deviation[b] - deviation[a]);
    wall.shown = numbers.slice(0, SIDE * SIDE);
    wall.one = one;
    let most = 0;
    for (let i = 0; i < one.channels; i++) most = Math.max(most, Math.abs(low[i]), Math.abs(high[i]));
    const reach = 3 * 1.4826 * one.mad;
    const [from, to] = scaling === 'layer' ? [-most, most] : [one.median - reach, one.median + reach];
    const context = wall.canvas.getContext('2d');
    const cell = SIZE / SIDE;
    const small = new OffscreenCanvas(w, h);
    const paint = small.getContext('2d');
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, SIZE, SIZE);
    wall.shown.forEach((channel, place) => {
      const image = new ImageData(w, h);
      const out = new Uint32Array(image.data.buffer);
      const step = (high[channel] - low[channel]) / 255;
      for (let i = 0; i < h * w; i++) {
        const level = maps[channel * h * w + i];
        let grey = high[channel] > low[channel] ? level : 128;
        if (scaling !== 'channel') {
          const v = low[channel] + level * step;
          grey = to > from ? Math.min(255, Math.max(0, ((v - from) / (to - from)) * 255)) : 128;
        }
        out[i] = (0xff000000 | (Math.round(grey) * 0x010101)) >>> 0;
      }
      paint.putImageData(image, 0, 0);
      const x = (place % SIDE) * cell;
      const y = Math.floor(place / SIDE) * cell;
      const inner = cell - GAP;
      context.drawImage(small, x + GAP / 2, y + GAP / 2, inner, inner);
      const flag = flags[channel];
      if (!flag) return;
      context.strokeStyle = flag & 6 ? RED : GREEN;
      context.lineWidth = 5;
      context.strokeRect(x + 3, y + 3, cell - 6, cell - 6);
      if (flag & 6) {
        // the colour alone would not tell everybody
        context.lineWidth = 3;
        context.beginPath();
        const c = inner / 5;
        const mx = x + cell - c;
        const my = y + c;
        context.moveTo(mx - c / 2, my - c / 2);
        context.lineTo(mx + c / 2, my + c / 2);
        context.moveTo(mx + c / 2, my - c / 2);
        context.lineTo(mx - c / 2, my + c / 2);
        if (flag & 4) {
          context.moveTo(mx, my - c / 1.6);
          context.lineTo(mx, my + c / 1.6);
        }
        context.stroke();
      }
    });
    const count = bit => flags.reduce((sum, flag) => sum + (flag & bit ? 1 : 0), 0);
    const chance = Math.min(1, Math.sqrt(4 / Math.max(1, h * w - 1))); // the multiple correlation that noise has with four gradients
    const words = [
      `${one.channels} channels of ${h} × ${w}: ${count(1)} low-level (noise: R ${chance.toFixed(2)}), ${count(2)} dead, ${count(4)} exploding.`,
    ];
    if (way === 'bare' && chosen.ways.bare) {
      if (chosen.agreement !== undefined)
        words.push(
          `The shortcut's maps and the true ones correlate by ${chosen.agreement.toFixed(2)} (median over channels).`,
        );
      else words.push('The shortcut skipped a pooling too, so its maps have another size.');
    } else if (way === 'bare') words.push('The notebooks took no shortcut here: these are the true maps.');
    wall.facts.textContent = words.join(' ');
    wall.canvas.setAttribute('aria-label', `${this.header.walls[index].title}, ${chosen.title}: ${words[0]}`);
  }

  read(index, e) {
    const wall = this.walls[index];
    const box = wall.canvas.getBoundingClientRect();
    const place =
      Math.floor(((e.clientY - box.top) / box.height) * SIDE) * SIDE +
      Math.floor(((e.clientX - box.left) / box.width) * SIDE);
    const channel = wall.shown[place];
    if (channel === undefined) return;
    const part = name => this.arrays[`${wall.one.key}.${name}`][channel];
    const flag = part('flags');
    const marks =
      [flag & 1 && 'low-level', flag & 2 && 'dead', flag & 4 && 'exploding'].filter(Boolean).join(', ') || 'unmarked';
    this.find('reading').textContent =
      `${this.header.walls[index].title}, channel ${channel}: ${part('low').toPrecision(3)} to ${part('high').toPrecision(3)}, ` +
      `deviation ${part('deviation').toPrecision(3)}, correlation with gradients ${part('edge').toFixed(2)}; ${marks}`;
  }

  destroy() {
    clearTimeout(this.timer);
  }
}

export default keep(
  home => new ChannelWall(home),
  (wall, { data, setStateValue }) => {
    wall.send = setStateValue;
    if (data && data.length) wall.load(data);
  },
  wall => wall.destroy(),
);
