import { colourTable } from '../_lib/colormaps.js';
import { Component, mount } from '../_lib/component.js';
import { choices, formula } from '../_lib/dom.js';
import { percent, thousands } from '../_lib/formatting.js';
import { cellAt, cellBox, extent, paint, placeMark, ramp, stepped, takeArrow } from '../_lib/grid.js';
import { MapBar } from '../_lib/map_bar.js';

class ReducedKeys extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
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
    this.bar = new MapBar(this.find('scale'), () => this.requestDraw());
    this.gatheredBar = new MapBar(this.find('gathered'), () => this.requestDraw(), this.bar);
    const { query, keys } = this.panels;
    for (const kind of ['pointermove', 'pointerdown']) {
      query.stage.addEventListener(kind, event => {
        this.query = cellAt(event, query.stage, this.site.grid);
        this.key = null;
        this.requestDraw();
      });
      keys.stage.addEventListener(kind, event => {
        this.key = cellAt(event, keys.stage, this.site.keys);
        this.requestDraw();
      });
    }
    keys.stage.addEventListener('pointerleave', () => {
      this.key = null;
      this.requestDraw();
    });
    query.stage.addEventListener('keydown', event => this.walk(event, 'query', this.site.grid));
    keys.stage.addEventListener('keydown', event => this.walk(event, 'key', this.site.keys));
    this.find('token').onclick = () => {
      this.query = null;
      this.key = null;
      this.requestDraw();
    };
  }

  load(header, arrays) {
    this.header = header;
    this.arrays = arrays;
    this.colours = colourTable(arrays.table);
    this.replacePhotograph(arrays.photo);
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
    const beside = site.prefix ? ', and the class token' : '';
    query.facts.textContent = `${h} × ${w} = ${thousands(h * w)} tokens ask${beside}`;
    keys.facts.textContent = `${kh} × ${kw} = ${thousands(kh * kw)} keys answer${beside}`;
    key.facts.textContent = site.gathers;
    const light = part => on => part.panel.classList.toggle('lit', on);
    const [asked, answering] = [h * w, kh * kw];
    const weights = `${thousands(asked)} × ${thousands(answering)} weights`;
    const fewer = `${(asked / answering).toFixed(0)} times fewer`;
    const saved = ` instead of ${thousands(asked)} × ${thousands(asked)}: ${fewer}`;
    formula(this.find('terms'), [
      'softmax( ',
      [`q (${thousands(asked)})`, light(query)],
      ' · ',
      [`${site.reduced ? `${site.reduced}(K)` : 'K'}ᵀ (${answering})`, light(keys)],
      ` / √${site.root} ) · `,
      [site.reduced ? `${site.reduced}(V)` : 'V', light(key)],
      `    ${weights}${site.reduced ? saved : ''}${this.rootWords(site)}`,
    ]);
    this.show();
  }

  // Most models divide by the root of a head's width, CvT by that of all heads together.
  rootWords({ root, width, heads }) {
    if (root === width) return heads > 1 ? `; ${root} numbers a head` : '';
    return `; ${root} is the full width, ${heads} heads of ${width}, where other models take the root of one head's`;
  }

  walk(event, what, [rows, columns]) {
    const step = takeArrow(event);
    if (!step) return;
    this[what] = stepped(this[what] ?? [rows >> 1, columns >> 1], step, [rows, columns]);
    if (what === 'query') this.key = null;
    this.show();
  }

  requestDraw() {
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
    const { site, panels } = this;
    const row = this.row();
    const cells = row.subarray(site.prefix);
    const top = extent(cells)[1];
    const [rows, columns] = site.keys;
    const total = row.reduce((sum, weight) => sum + weight, 0);
    const end = this.bar.end(cells, total / cells.length);
    this.find('token').classList.toggle('on', !this.query);
    panels.query.mark.style.display = 'none';
    if (this.query) placeMark(panels.query.mark, cellBox(this.query, site.grid));
    paint(panels.keys.canvas, rows, columns, ramp(cells, this.colours, 0, end));
    this.bar.show(this.colours, cells, end, 'share of its attention');
    panels.keys.stage.dataset.drawn = `${this.query} ${this.head}`;
    const chosen = this.key ? this.key[0] * columns + this.key[1] : cells.indexOf(top);
    const key = [Math.floor(chosen / columns), chosen % columns];
    placeMark(panels.keys.mark, cellBox(key, site.keys));
    const gathered = this.drawGathered(chosen);
    this.find('reading').textContent = `${this.weightWords(row, chosen, key)} ${gathered}`;
  }

  // The tokens that a key gathers and how much each counts; what there is to say of them.
  drawGathered(chosen) {
    const { canvas, mark } = this.panels.key;
    const [rows, columns] = this.site.grid;
    const [top, left, bottom, right] = this.boxes.subarray(4 * chosen, 4 * chosen + 4);
    const [, tall, wide] = this.shares.shape;
    const share = (y, x) =>
      y >= top && y < bottom && x >= left && x < right ? this.shares[(chosen * tall + y - top) * wide + x - left] : -1;
    const values = [];
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) values.push(share(y, x));
    const count = values.length;
    const most = Math.max(...values);
    const end = this.gatheredBar.end(values, 1 / count);
    paint(canvas, rows, columns, i => {
      const value = share(Math.floor(i / columns), i % columns);
      return value < 0 ? 0 : this.colours[Math.min(255, (value / end) * 255) | 0];
    });
    this.gatheredBar.show(this.colours, values, end, 'share of the key');
    placeMark(mark, [top / rows, left / columns, bottom / rows, right / columns]);
    if (count === 1) return 'That key gathers one token.';
    const strongest = `the strongest of them with ${percent(most)} where an even share is ${percent(1 / count)}`;
    return `That key gathers ${count} tokens, ${strongest}.`;
  }

  weightWords(row, chosen, key) {
    const [y, x] = key;
    const { prefix } = this.site;
    const who = this.query ? `Token at row ${this.query[0] + 1}, column ${this.query[1] + 1}` : 'The class token';
    const which = this.key ? 'the key pointed at' : `its strongest key${prefix ? ' on the picture' : ''}`;
    const learned = prefix ? `, ${percent(row[0])} to the class token` : '';
    const place = `row ${y + 1}, column ${x + 1}; even: ${percent(1 / row.length)}`;
    return `${who} gives ${percent(row[prefix + chosen])} to ${which} (${place})${learned}.`;
  }

  destroy() {
    cancelAnimationFrame(this.frame);
  }
}

export default mount(ReducedKeys);
