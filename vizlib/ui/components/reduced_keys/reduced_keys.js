class Reduced {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.panels = Object.fromEntries(
      ['query', 'keys', 'key'].map(name => {
        const panel = root.querySelector(`.panel.${name}`);
        const part = selector => panel.querySelector(selector);
        return [
          name,
          {
            panel,
            stage: part('.stage'),
            image: part('img'),
            canvas: part('canvas'),
            mark: part('.mark'),
            facts: part('figcaption span'),
          },
        ];
      }),
    );
    const { query, keys } = this.panels;
    for (const kind of ['pointermove', 'pointerdown']) {
      query.stage.addEventListener(kind, e => {
        this.query = cellAt(e, query.stage, this.site.grid);
        this.key = null;
        this.ask();
      });
      keys.stage.addEventListener(kind, e => {
        this.key = cellAt(e, keys.stage, this.site.keys);
        this.ask();
      });
    }
    keys.stage.addEventListener('pointerleave', () => {
      this.key = null;
      this.ask();
    });
    query.stage.addEventListener('keydown', e => this.walk(e, 'query', this.site.grid));
    keys.stage.addEventListener('keydown', e => this.walk(e, 'key', this.site.keys));
    this.find('token').onclick = () => {
      this.query = null;
      this.key = null;
      this.ask();
    };
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.colours = palette(arrays.table);
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = photograph(arrays.photo);
    for (const { image, stage } of Object.values(this.panels)) {
      image.src = this.url;
      image.alt = header.title;
      stage.style.aspectRatio = `${header.size[1]} / ${header.size[0]}`;
    }
    choices(
      this.find('stages'),
      header.sites.map((site, i) => [i, `Stage ${site.stage}`, site.name]),
      0,
      'Stage',
      i => this.open(Number(i)),
    );
    this.open(0);
  }

  open(index) {
    const site = (this.site = this.header.sites[index]);
    const { arrays } = this;
    const get = name => arrays[`${index}.${name}`];
    this.levels = get('levels');
    this.peaks = get('peaks');
    this.boxes = get('boxes');
    this.shares = get('shares');
    this.head = 0;
    const heads =
      site.heads > 1
        ? [[0, 'all heads'], ...Array.from({ length: site.heads }, (_, i) => [i + 1, `head ${i + 1}`])]
        : [];
    choices(this.find('heads'), heads, 0, 'Head', head => {
      this.head = Number(head);
      this.show();
    });
    this.find('heads').style.display = heads.length ? '' : 'none';
    this.find('token').style.display = site.prefix ? '' : 'none';
    this.query = site.strongest;
    this.key = null;
    const { query, keys, key } = this.panels;
    const [h, w] = site.grid;
    const [kh, kw] = site.keys;
    query.facts.textContent = `${h} × ${w} = ${h * w} tokens ask`;
    keys.facts.textContent = `${kh} × ${kw} = ${kh * kw} keys answer`;
    key.facts.textContent = site.gathers;
    const light = one => on => one.panel.classList.toggle('lit', on);
    formula(this.find('terms'), [
      'softmax( ',
      [`q (${h * w})`, light(query)],
      ' · ',
      [`${site.reduced ? `${site.reduced}(K)` : 'K'}ᵀ (${kh * kw})`, light(keys)],
      ' / √d ) · ',
      [site.reduced ? `${site.reduced}(V)` : 'V', light(key)],
      site.reduced
        ? `    ${(h * w).toLocaleString()} × ${(kh * kw).toLocaleString()} weights instead of ${(h * w).toLocaleString()} × ${(h * w).toLocaleString()}: ` +
          `${((h * w) / (kh * kw)).toFixed(0)} times fewer`
        : `    ${(h * w).toLocaleString()} × ${(kh * kw).toLocaleString()} weights`,
    ]);
    this.show();
  }

  walk(event, what, [rows, columns]) {
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const [y, x] = this[what] ?? [rows >> 1, columns >> 1];
    this[what] = [Math.max(0, Math.min(rows - 1, y + step[0])), Math.max(0, Math.min(columns - 1, x + step[1]))];
    if (what === 'query') this.key = null;
    this.show();
  }

  ask() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.show();
    });
  }

  // One query's weights over all keys, learned tokens first.
  row() {
    const { site } = this;
    const tokens = site.prefix + site.grid[0] * site.grid[1];
    const keys = site.prefix + site.keys[0] * site.keys[1];
    const query = this.query ? site.prefix + this.query[0] * site.grid[1] + this.query[1] : 0;
    const row = new Float32Array(keys);
    const heads = this.head ? [this.head - 1] : Array.from({ length: site.heads }, (_, i) => i);
    for (const head of heads) {
      const at = head * tokens + query;
      const step = this.peaks[at] / 65535 / heads.length;
      for (let i = 0; i < keys; i++) row[i] += this.levels[at * keys + i] * step;
    }
    return row;
  }

  show() {
    const {
      site,
      panels: { query, keys, key },
    } = this;
    const [h, w] = site.grid;
    const [kh, kw] = site.keys;
    const row = this.row();
    const cells = row.subarray(site.prefix);
    const top = ends(cells)[1];
    this.find('token').classList.toggle('on', !this.query);
    query.mark.style.display = 'none';
    if (this.query)
      place(query.mark, [this.query[0] / h, this.query[1] / w, (this.query[0] + 1) / h, (this.query[1] + 1) / w]);
    paint(keys.canvas, kh, kw, ramp(cells, this.colours, 0, top));
    keys.stage.dataset.drawn = `${this.query} ${this.head}`;
    const strongest = cells.indexOf(top);
    const chosen = this.key ? this.key[0] * kw + this.key[1] : strongest;
    const ky = Math.floor(chosen / kw);
    const kx = chosen % kw;
    place(keys.mark, [ky / kh, kx / kw, (ky + 1) / kh, (kx + 1) / kw]);
    const [t, l, b, r] = this.boxes.subarray(4 * chosen, 4 * chosen + 4);
    const [, tall, wide] = this.shares.shape;
    const share = (y, x) =>
      y >= t && y < b && x >= l && x < r ? this.shares[(chosen * tall + y - t) * wide + x - l] : -1;
    let most = 0;
    for (let y = t; y < b; y++) for (let x = l; x < r; x++) most = Math.max(most, share(y, x));
    paint(key.canvas, h, w, i => {
      const value = share(Math.floor(i / w), i % w);
      return value < 0 ? 0 : this.colours[Math.min(255, (value / most) * 255) | 0];
    });
    place(key.mark, [t / h, l / w, b / h, r / w]);
    const count = (b - t) * (r - l);
    const which = this.key ? 'the key pointed at' : 'its strongest key';
    const who = this.query ? `Token at row ${this.query[0]}, column ${this.query[1]}` : 'The class token';
    const learned = site.prefix ? `, ${percent(row[0])} to the class token` : '';
    const spread =
      count === 1
        ? 'one token'
        : `${count} tokens, the strongest of them with ${percent(most)} where an even share is ${percent(1 / count)}`;
    this.find('reading').textContent =
      `${who} gives ${percent(cells[chosen])} to ${which} (row ${ky}, column ${kx}; even: ${percent(1 / row.length)})${learned}. ` +
      `That key gathers ${spread}.`;
  }

  destroy() {
    cancelAnimationFrame(this.frame);
  }
}

export default mount(Reduced);
