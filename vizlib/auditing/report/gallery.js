// The rows of an audit as a gallery and a table that one choice sorts: the report draws with it, and the page Audit.

const CARDS = 12;
const ROWS = 25;
const ALL = 100 - 1e-5; // per cent, from which on what is missing is the rounding of a sum
const NONE = '–';
const UNSEEN = 'rgba(20, 24, 28, 0.62)';

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = String(text);
  return element;
}

function button(text, title, act) {
  const element = make('button', '', text);
  element.type = 'button';
  element.title = title;
  element.addEventListener('click', act);
  return element;
}

function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return 'under 0.1\u00a0%';
  const text = value.toFixed(value < 10 || (value >= 99.5 && value < ALL) ? 1 : 0);
  return value < ALL && Number(text) >= 100 ? 'over 99.9\u00a0%' : `${text}\u00a0%`;
}

/** A cell as a reader sees it. */
export function written(kind, value) {
  if (value === null || value === undefined) return NONE;
  if (kind === 'share') return percent(value);
  if (kind === 'flag') return value ? 'yes' : 'no';
  if (kind === 'place') return String(value + 1); // readers count from 1
  if (kind === 'number') return value.toFixed(Math.abs(value) < 10 ? 3 : 1).replace('-', '−');
  return String(value);
}

const HOLDS = { '==': (a, b) => a === b, '<': (a, b) => a < b, '>': (a, b) => a > b };

/** The values of one column: texts out of their list, numbers as they are. */
export function column(data, name) {
  const held = data.values[name];
  if (!held) return null;
  return held.words ? held.index.map(place => (place === null ? null : held.words[place])) : held;
}

/** The places of rows of a model and a method that a preset takes and a text is found in, in order, no value last. */
export function sorted(data, columns, state) {
  const preset = data.presets.find(each => each.name === state.preset);
  const find = state.find.trim().toLowerCase();
  const texts = ['path', 'label_name', 'predicted'].map(name => columns[name]).filter(Boolean);
  const kept = [];
  for (let place = 0; place < data.model.length; place += 1) {
    if (data.model[place] !== state.model || data.method[place] !== state.method) continue;
    const held = (preset?.where ?? []).every(([name, sign, wanted]) => {
      const value = columns[name]?.[place] ?? null;
      return value !== null && HOLDS[sign](value, typeof wanted === 'boolean' ? Number(wanted) : wanted);
    });
    if (!held) continue;
    if (
      find &&
      !texts.some(values =>
        String(values[place] ?? '')
          .toLowerCase()
          .includes(find),
      )
    )
      continue;
    kept.push(place);
  }
  const values = columns[state.by] ?? [];
  const sign = state.falling ? -1 : 1;
  return kept.sort((a, b) => {
    const [first, second] = [values[a] ?? null, values[b] ?? null];
    if (first === null || second === null) return Number(first === null) - Number(second === null) || a - b;
    const order = typeof first === 'string' ? first.localeCompare(second) : first - second;
    return sign * order || a - b;
  });
}

function described(preset) {
  return `${preset.rows}, ${preset.order}${preset.look && `: ${preset.look}`}`;
}

/** Which rows there are in which order, as the preset says where nothing else sorts them, and how many have a map. */
export function told(data, state, rows, shown) {
  const preset = data.presets.find(each => each.name === state.preset);
  const by = data.columns.find(each => each.name === state.by);
  let words = '';
  if (preset && preset.by === state.by && preset.falling === state.falling) words = `${described(preset)}. `;
  else if (preset && by) {
    const size = state.falling ? 'the largest first' : 'the smallest first';
    const order = by.kind === 'text' ? `in ${state.falling ? 'reverse ' : ''}alphabetical order` : size;
    const sorting =
      by.kind === 'place' ? `${state.falling ? 'the last' : 'the first'} picture first` : `by ${by.title}, ${order}`;
    words = `${preset.rows}, ${sorting}. `;
  }
  const [all, some] = [rows, shown].map(each => each.toLocaleString('en'));
  if (!rows) return `${words}There is none.`;
  if (rows === 1) return `${words}1 row, ${shown ? 'with' : 'without'} a map here.`;
  return `${words}${all} rows, ${shown === rows ? 'all' : `${some} of them`} with a map here.`;
}

/** A map over its picture, or alone, on a canvas. */
export function paint(canvas, map, image, colours, how) {
  const long = Number(canvas.dataset.side);
  const picture = image && how !== 'map';
  const aspect = image ? map.aspect : map.shape[1] / map.shape[0];
  canvas.width = Math.round(long * Math.min(1, aspect));
  canvas.height = Math.round(long * Math.min(1, 1 / aspect));
  const brush = canvas.getContext('2d');
  if (picture) brush.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (how === 'picture' && picture) return;
  const [rows, across] = map.shape;
  const cells = bytes(map.cells);
  const table = map.signed ? colours.signed : colours.map;
  const small = Object.assign(document.createElement('canvas'), { width: across, height: rows });
  const pixels = new ImageData(across, rows);
  cells.forEach((level, place) => {
    const strength = map.signed ? Math.abs(level - 127.5) / 127.5 : 1;
    pixels.data.set([...table.subarray(3 * level, 3 * level + 3), picture ? 255 * 0.62 * strength : 255], 4 * place);
  });
  small.getContext('2d').putImageData(pixels, 0, 0);
  const [top, left, bottom, right] = image ? map.seen : [0, 0, 1, 1];
  const [x, y] = [left * canvas.width, top * canvas.height];
  const [wide, high] = [(right - left) * canvas.width, (bottom - top) * canvas.height];
  brush.imageSmoothingEnabled = Boolean(image);
  brush.drawImage(small, x, y, wide, high);
  brush.fillStyle = UNSEEN;
  for (const [a, b, c, d] of [
    [0, 0, canvas.width, y],
    [0, y + high, canvas.width, canvas.height - y - high],
    [0, y, x, high],
    [x + wide, y, canvas.width - x - wide, high],
  ]) {
    if (c > 0.5 && d > 0.5) brush.fillRect(a, b, c, d);
  }
}

export class Gallery {
  /**
   * @param {HTMLElement} root
   * @param {any} data what report_data.py packs
   * @param {{state?: any, changed?: (state: any) => void, link?: (row: any) => HTMLElement | null}} [options]
   */
  constructor(root, data, options = {}) {
    this.root = root;
    this.data = data;
    this.options = options;
    this.colours = { map: bytes(data.colours.map), signed: bytes(data.colours.signed) };
    this.columns = Object.fromEntries(data.columns.map(each => [each.name, column(data, each.name)]));
    this.images = new Map();
    const first = data.presets.find(each => !each.missing);
    this.state = { preset: first?.name ?? '', model: 0, method: 0, by: '', falling: true, find: '', how: 'both' };
    if (first) Object.assign(this.state, { by: first.by, falling: first.falling });
    Object.assign(this.state, this.known(options.state ?? {}));
    this.cards = CARDS;
    this.page = 0;
    this.chosen = null;
    this.parts = Object.fromEntries(
      ['controls', 'words', 'cards', 'detail', 'rows'].map(name => [name, make('div', name)]),
    );
    root.replaceChildren(...Object.values(this.parts));
    this.drawControls();
    this.draw();
  }

  /** Of a state from outside, what there is here. */
  known(state) {
    const { presets, models, methods } = this.data;
    const kept = {};
    if (state.preset === '' || presets.some(each => each.name === state.preset && !each.missing)) {
      kept.preset = state.preset;
    }
    if (models[state.model]) kept.model = Number(state.model);
    if (methods[state.method]) kept.method = Number(state.method);
    if (this.columns[state.by]) kept.by = state.by;
    if (typeof state.falling === 'boolean') kept.falling = state.falling;
    if (typeof state.find === 'string') kept.find = state.find.slice(0, 80);
    if (['both', 'map', 'picture'].includes(state.how)) kept.how = state.how;
    return kept;
  }

  change(change) {
    Object.assign(this.state, change);
    this.cards = CARDS;
    this.page = 0;
    this.chosen = null;
    this.drawControls();
    this.draw();
    this.options.changed?.({ ...this.state });
  }

  drawControls() {
    const { data, state } = this;
    const presets = make('div', 'choices');
    const everything = {
      name: '',
      title: 'All',
      rows: 'Every row',
      order: 'by the number of its picture',
      look: '',
      by: 'picture',
      missing: '',
    };
    for (const each of [...data.presets, { ...everything, falling: false }]) {
      const taken = button(each.title, each.missing ? `None: ${each.missing}.` : `${described(each)}.`, () =>
        this.change({ preset: each.name, by: each.by, falling: each.falling }),
      );
      taken.disabled = Boolean(each.missing);
      taken.setAttribute('aria-pressed', String(each.name === state.preset));
      taken.dataset.preset = each.name;
      presets.append(taken);
    }
    const choices = make('div', 'choices');
    if (data.models.length > 1) choices.append(this.select('model', 'Model', data.titles.models));
    if (data.methods.length > 1) choices.append(this.select('method', 'Method', data.titles.methods));
    choices.append(this.sortSelect());
    if (Object.keys(data.thumbnails).length) {
      const hows = make('span', 'hows');
      for (const [name, title] of [
        ['both', 'Map on picture'],
        ['map', 'Map'],
        ['picture', 'Picture'],
      ]) {
        const how = button(title, '', () => {
          this.state.how = name;
          this.drawControls();
          this.draw();
        });
        how.setAttribute('aria-pressed', String(state.how === name));
        hows.append(how);
      }
      choices.append(hows);
    }
    choices.append(this.findField());
    const home = /** @type {any} */ (this.root.getRootNode()); // a document, or the shadow that a component lives in
    const finding = home.activeElement?.dataset?.find !== undefined;
    this.parts.controls.replaceChildren(presets, choices);
    if (finding) this.parts.controls.querySelector('[data-find]').focus();
  }

  select(name, title, names) {
    const label = make('label', '', `${title} `);
    const select = make('select');
    select.dataset.name = name;
    names.forEach((text, place) => select.append(new Option(text, String(place), false, place === this.state[name])));
    select.addEventListener('change', () => this.change({ [name]: Number(select.value) }));
    label.append(select);
    return label;
  }

  sortSelect() {
    const label = make('label', '', 'Sorted by ');
    const select = make('select');
    select.dataset.name = 'by';
    for (const each of this.data.columns) {
      select.append(new Option(each.title, each.name, false, each.name === this.state.by));
    }
    select.addEventListener('change', () => this.change({ by: select.value }));
    const falling = button(this.state.falling ? '↓' : '↑', 'The largest or the smallest first', () =>
      this.change({ falling: !this.state.falling }),
    );
    falling.setAttribute('aria-label', this.state.falling ? 'largest first' : 'smallest first');
    label.append(select, falling);
    return label;
  }

  findField() {
    const label = make('label', '', 'Find ');
    const field = make('input');
    field.type = 'search';
    field.placeholder = 'name or class';
    field.value = this.state.find;
    field.dataset.find = '';
    field.addEventListener('change', () => this.change({ find: field.value }));
    label.append(field);
    return label;
  }

  draw() {
    const { data, state } = this;
    const places = sorted(data, this.columns, state);
    const pictured = places.filter(place => data.maps[place]);
    this.parts.words.replaceChildren(make('p', '', told(data, state, places.length, pictured.length)));
    const cards = make('div', 'grid');
    for (const place of pictured.slice(0, this.cards)) cards.append(this.card(place));
    this.parts.cards.replaceChildren(cards);
    if (pictured.length > this.cards) {
      this.parts.cards.append(
        button(`${Math.min(CARDS, pictured.length - this.cards)} more`, '', () => {
          this.cards += CARDS;
          this.draw();
        }),
      );
    }
    this.drawDetail();
    this.drawTable(places);
  }

  value(name, place) {
    return this.columns[name]?.[place] ?? null;
  }

  card(place) {
    const card = button('', 'All that is known of it', () => this.choose(place));
    card.className = 'card';
    card.dataset.place = String(place);
    card.setAttribute('aria-pressed', String(place === this.chosen));
    const sort = this.data.columns.find(each => each.name === this.state.by);
    const [label, answer, right] = ['label_name', 'predicted', 'right'].map(name => this.value(name, place));
    const words = make('span', 'words');
    words.append(make('b', right === 0 ? 'wrong' : right === 1 ? 'right' : '', answer ?? ''));
    const sure = this.value('probability', place);
    if (sure !== null) words.append(` ${percent(sure)}`);
    if (right === 0) words.append(make('span', 'soft', `label: ${label}`));
    if (sort && !['probability', 'predicted', 'label_name'].includes(sort.name)) {
      words.append(make('span', 'soft', `${sort.title} ${written(sort.kind, this.value(sort.name, place))}`));
    }
    card.append(this.canvas(place, 132), words);
    return card;
  }

  canvas(place, side) {
    const canvas = make('canvas');
    canvas.dataset.side = String(side);
    const map = this.data.maps[place];
    const number = this.value('picture', place);
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `map of picture ${number + 1}`);
    const source = this.data.thumbnails[number];
    if (!source) {
      paint(canvas, map, null, this.colours, 'map');
      return canvas;
    }
    if (!this.images.has(number)) this.images.set(number, Object.assign(new Image(), { src: source }));
    const image = this.images.get(number);
    const how = this.state.how;
    const now = () => paint(canvas, map, image, this.colours, how);
    const alone = () => paint(canvas, map, null, this.colours, 'map');
    if (image.complete) now();
    else image.decode().then(now, alone);
    return canvas;
  }

  choose(place) {
    this.chosen = this.chosen === place ? null : place;
    for (const card of this.parts.cards.querySelectorAll('.card')) {
      card.setAttribute('aria-pressed', String(Number(card.dataset.place) === this.chosen));
    }
    this.drawDetail();
  }

  drawDetail() {
    const { chosen, data } = this;
    if (chosen === null) {
      this.parts.detail.replaceChildren();
      return;
    }
    const box = make('div', 'box');
    const number = this.value('picture', chosen);
    const maps = make('div', 'grid');
    for (let place = 0; place < data.model.length; place += 1) {
      if (!data.maps[place] || this.value('picture', place) !== number) continue;
      const figure = make('figure');
      const caption = `${data.titles.models[data.model[place]]}, ${data.titles.methods[data.method[place]]}`;
      figure.append(this.canvas(place, 200), make('figcaption', place === chosen ? 'on' : '', caption));
      maps.append(figure);
    }
    const facts = make('dl');
    for (const each of data.columns) {
      const term = make('dt', '', each.title);
      term.title = each.hint;
      facts.append(term, make('dd', '', written(each.kind, this.value(each.name, chosen))));
    }
    const [model, method] = [data.models[data.model[chosen]], data.methods[data.method[chosen]]];
    const link = this.options.link?.({
      place: chosen,
      picture: number,
      path: this.value('path', chosen),
      model,
      method,
    });
    box.append(maps, facts);
    if (link) box.append(link);
    this.parts.detail.replaceChildren(box);
  }

  drawTable(places) {
    const { data, state } = this;
    const pages = Math.max(1, Math.ceil(places.length / ROWS));
    const table = make('table');
    const head = make('tr');
    for (const each of data.columns) {
      const cell = make('th');
      const sorts = button(each.title, each.hint, () =>
        this.change({ by: each.name, falling: state.by === each.name ? !state.falling : each.kind !== 'text' }),
      );
      cell.append(sorts);
      if (state.by === each.name) cell.setAttribute('aria-sort', state.falling ? 'descending' : 'ascending');
      head.append(cell);
    }
    const body = make('tbody');
    for (const place of places.slice(this.page * ROWS, (this.page + 1) * ROWS)) {
      const row = make('tr');
      row.dataset.place = String(place);
      for (const each of data.columns) {
        row.append(make('td', each.kind === 'text' ? '' : 'figure', written(each.kind, this.value(each.name, place))));
      }
      row.addEventListener('click', () => this.choose(place));
      body.append(row);
    }
    const top = make('thead');
    top.append(head);
    table.append(top, body);
    const wide = make('div', 'wide');
    wide.append(table);
    const turn = make('div', 'choices');
    const step = by => () => {
      this.page += by;
      this.drawTable(places);
    };
    const [back, on] = [button('‹', 'The rows before', step(-1)), button('›', 'The rows after', step(1))];
    back.disabled = this.page === 0;
    on.disabled = this.page >= pages - 1;
    turn.append(back, make('span', 'soft', `page ${this.page + 1} of ${pages}`), on);
    this.parts.rows.replaceChildren(wide, turn);
  }
}
