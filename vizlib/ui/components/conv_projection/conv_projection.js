const PARTS = ['q', 'k', 'v'];
const WORDS = { q: 'what a token asks', k: 'what it is found by', v: 'what it hands on' };

class Projection {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.slider = this.find('channel');
    this.slider.addEventListener('input', () => this.choose(Number(this.slider.value)));
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.colours = palette(arrays.table);
    choices(
      this.find('blocks'),
      header.blocks.map((block, i) => [i, `Stage ${block.stage}, block ${block.block}`]),
      0,
      'Block',
      i => this.open(Number(i)),
    );
    this.open(0);
  }

  open(index) {
    this.index = index;
    const block = (this.block = this.header.blocks[index]);
    const get = name => this.arrays[`${index}.${name}`];
    this.before = get('before');
    this.after = Object.fromEntries(PARTS.map(part => [part, get(part)]));
    this.kernels = Object.fromEntries(PARTS.map(part => [part, get(`${part}.kernel`)]));
    this.slider.max = block.channels - 1;
    this.walls = PARTS.map(part => this.wall(part));
    this.find('walls').replaceChildren(...this.walls.map(one => one.figure));
    this.panels = ['x', ...PARTS].map(part => this.panel(part));
    this.find('panels').replaceChildren(...this.panels.map(one => one.figure));
    const light = part => on => {
      this.walls[PARTS.indexOf(part)].figure.classList.toggle('lit', on);
      this.panels[1 + PARTS.indexOf(part)].figure.classList.toggle('lit', on);
    };
    const [h, w] = block.grid;
    const [kh, kw] = block.keys;
    formula(this.find('terms'), [
      'Attention( ',
      ['W_q · conv(x)', light('q')],
      ` at ${h} × ${w} cells, `,
      ['W_k · conv₂(x)', light('k')],
      ` at ${kh} × ${kw}, `,
      ['W_v · conv₂(x)', light('v')],
      ` at ${kh} × ${kw} )`,
    ]);
    this.choose(block.clearest);
  }

  // All kernels of one part, a tile each: blue takes away, red adds, each to its own strongest cell.
  wall(part) {
    const figure = el('figure', 'wall');
    const caption = el('figcaption');
    const canvas = el('canvas');
    const mark = el('i', 'mark self');
    const box = el('div', 'box');
    const { channels, facts } = this.block;
    const columns = Math.ceil(Math.sqrt(channels * 1.6));
    const rows = Math.ceil(channels / columns);
    const kernels = this.kernels[part];
    const peaks = Array.from({ length: channels }, (_, c) =>
      Math.max(...kernels.subarray(9 * c, 9 * c + 9).map(Math.abs)),
    );
    caption.append(
      el('b', '', `The ${channels} kernels of ${part}`),
      el(
        'span',
        '',
        `${percent(facts[part].centre)} of their weight on the centre; ${percent(facts[part].constancy)} answers to an even surface`,
      ),
    );
    paint(canvas, rows * 4 - 1, columns * 4 - 1, i => {
      const y = Math.floor(i / (columns * 4 - 1));
      const x = i % (columns * 4 - 1);
      const c = Math.floor(y / 4) * columns + Math.floor(x / 4);
      if (y % 4 === 3 || x % 4 === 3 || c >= channels) return 0;
      return signed(peaks[c] ? kernels[9 * c + 3 * (y % 4) + (x % 4)] / peaks[c] : 0);
    });
    canvas.addEventListener('pointermove', e => {
      const [y, x] = cellAt(e, canvas, [rows, columns]);
      const c = y * columns + x;
      if (c < channels) this.choose(c);
    });
    box.append(canvas, mark);
    figure.append(caption, box);
    const place1 = c =>
      place(mark, [
        (Math.floor(c / columns) * 4) / (rows * 4 - 1),
        ((c % columns) * 4) / (columns * 4 - 1),
        (Math.floor(c / columns) * 4 + 3) / (rows * 4 - 1),
        ((c % columns) * 4 + 3) / (columns * 4 - 1),
      ]);
    return { figure, place: place1, peaks };
  }

  panel(part) {
    const figure = el('figure', 'panel');
    const caption = el('figcaption');
    const stage = el('div', 'stage');
    const canvas = el('canvas');
    const grid = part === 'k' || part === 'v' ? this.block.keys : this.block.grid;
    caption.append(
      el('b', '', part === 'x' ? 'Before: x' : `After: ${part}`),
      el('span', '', part === 'x' ? `${grid[0]} × ${grid[1]} cells` : `${grid[0]} × ${grid[1]} cells, ${WORDS[part]}`),
    );
    stage.style.aspectRatio = `${this.header.size[1]} / ${this.header.size[0]}`;
    stage.append(canvas);
    figure.append(caption, stage);
    const kernel = part === 'x' ? null : el('div', 'kernel');
    if (kernel) figure.append(kernel);
    return { part, figure, stage, canvas, grid, kernel };
  }

  choose(channel) {
    this.slider.value = channel;
    this.find('channel-shown').textContent = channel;
    for (const one of this.walls) one.place(channel);
    const said = [];
    for (const { part, canvas, stage, grid, kernel } of this.panels) {
      const cells = grid[0] * grid[1];
      const values = (part === 'x' ? this.before : this.after[part]).subarray(channel * cells, (channel + 1) * cells);
      paint(canvas, grid[0], grid[1], i => this.colours[values[i]]);
      stage.dataset.drawn = `${this.index} ${channel}`;
      if (!kernel) continue;
      const weights = this.kernels[part].subarray(9 * channel, 9 * channel + 9);
      const peak = Math.max(...weights.map(Math.abs));
      kernel.replaceChildren(
        ...[...weights].map(weight => {
          const cell = el('span', '', weight.toFixed(2));
          const packed = signed(peak ? weight / peak : 0);
          cell.style.background = `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255})`;
          if (Math.abs(weight) > 0.6 * peak) cell.style.color = '#fff';
          return cell;
        }),
      );
      const sum = weights.reduce((a, b) => a + b, 0);
      const size = weights.reduce((a, b) => a + Math.abs(b), 0);
      said.push(`${part}: centre ${percent(size ? Math.abs(weights[4]) / size : 0)}, sum ${sum.toFixed(2)}`);
    }
    this.find('reading').textContent =
      `Channel ${channel}, kernels with the gain of their batch norm. ${said.join('; ')}. A large centre passes the map on; a sum near zero sees edges alone.`;
  }
}

export default mount(Projection);
