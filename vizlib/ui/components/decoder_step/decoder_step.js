import { Component, mount } from '../_lib/component.js';
import { create, typeset } from '../_lib/dom.js';
import { briefPercent, decimal, percent, visible } from '../_lib/formatting.js';
import { clamp, extent } from '../_lib/grid.js';
import { dotProduct, EXPLANATIONS } from './explanations.js';
import { VectorStrip } from './vector_strip.js';

const STRIPS = {
  query: 'Query',
  keys: 'Keys',
  values: 'Values',
  context: 'Context',
  combined: 'Combined',
  output: 'Output',
};

class DecoderStep extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
    this.strips = Object.fromEntries(
      Object.entries(STRIPS).map(([name, word]) => [
        name,
        new VectorStrip(this.find(name), word, (row, column) => this.why(name, row, column)),
      ]),
    );
    this.find('tau').oninput = event => {
      this.view.tau = 10 ** Number(event.target.value);
      this.touched();
    };
    this.find('scale').onchange = event => {
      this.view.scaled = event.target.checked;
      this.touched();
    };
    this.find('unmask').onclick = () => {
      this.view.mask.clear();
      this.touched();
    };
    this.find('reset').onclick = () => {
      this.view = this.fresh();
      this.touched();
    };
  }

  fresh() {
    return { tau: 1, scaled: this.header.scaled, mask: new Set(), scores: new Map() };
  }

  // The view as the page keeps it; mirrors Edit in vizlib/ui/pages/seq2seq/decoder_step.py.
  text() {
    const { tau, scaled, mask, scores } = this.view;
    return {
      tau: String(Number(tau.toFixed(4))),
      scale: scaled === this.header.scaled ? 'as' : scaled ? 'on' : 'off',
      mask: [...mask].sort((a, b) => a - b).join('_'),
      scores: [...scores]
        .sort((a, b) => a[0] - b[0])
        .map(([j, score]) => `${j}:${Number(score.toFixed(4))}`)
        .join('_'),
    };
  }
  parse(given) {
    const view = this.fresh();
    const parts = text => (text ? text.split('_') : []);
    view.tau = Number(given.tau);
    if (given.scale !== 'as') view.scaled = given.scale === 'on';
    for (const j of parts(given.mask)) view.mask.add(Number(j));
    for (const part of parts(given.scores)) {
      const [j, score] = part.split(':').map(Number);
      view.scores.set(j, score);
    }
    return view;
  }

  load(header, arrays) {
    const fresh = header.identity !== this.header?.identity;
    const given = JSON.stringify(header.view);
    this.header = header;
    this.arrays = arrays;
    this.n = header.source.length;
    this.d = arrays.query.length;
    // What the page says is taken over only where it is news: it may be older than what is being dragged.
    if (fresh || (given !== this.given && given !== JSON.stringify(this.text()) && !this.dragging))
      this.view = this.parse(header.view);
    this.given = given;
    if (fresh) this.build();
    this.draw();
  }

  build() {
    const { header, n } = this;
    this.root.classList.toggle('fixed', !header.draggable);
    this.chars = header.source.map((char, j) => {
      const button = create('button', '', visible(char));
      button.type = 'button';
      button.title = 'Click: hide this key, or show it again';
      button.setAttribute('aria-label', `Hide key ${j + 1}, ${visible(char)}`);
      button.onclick = () => {
        if (!this.view.mask.delete(j) && this.view.mask.size < n - 1) this.view.mask.add(j);
        this.touched();
      };
      return button;
    });
    this.find('chars').replaceChildren(...this.chars);
    this.bars = { scores: this.columns('scores', 'Score'), weights: this.columns('weights', 'Weight') };
    this.bars.scores.forEach((bar, j) => this.makeDraggable(bar, j));
    this.find('why-name').textContent = 'Point at any number';
    typeset(this.find('why-formula'), header.formulas.all);
    this.find('why-numbers').textContent = 'Its formula appears here with the numbers that went into it.';
  }

  // A bar for each character that was read.
  columns(name, label) {
    const { source, draggable } = this.header;
    const bars = source.map((char, j) => {
      const bar = create('div', 'column');
      bar.append(create('i'), create('u'), create('span'));
      bar.tabIndex = 0;
      bar.setAttribute('role', name === 'scores' && draggable ? 'slider' : 'button');
      bar.setAttribute('aria-label', `${label} of character ${j + 1}, ${visible(char)}`);
      bar.onpointerenter = bar.onfocus = () => {
        this.light(j);
        this.why(name, 0, j);
      };
      bar.onclick = () => this.why(name, 0, j);
      return bar;
    });
    this.find(name).replaceChildren(...bars);
    this.find(name).onpointerleave = () => this.light(-1);
    return bars;
  }

  makeDraggable(bar, j) {
    bar.onpointerdown = event => {
      if (!this.header.draggable || this.view.mask.has(j)) return;
      bar.setPointerCapture(event.pointerId);
      this.dragging = true;
      this.drag(j, event);
    };
    bar.onpointermove = event => {
      if (this.dragging && bar.hasPointerCapture(event.pointerId)) this.drag(j, event);
    };
    bar.onpointerup = bar.onpointercancel = () => {
      this.dragging = false;
    };
    bar.onkeydown = event => this.key(j, event);
  }

  key(j, event) {
    const change = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[event.key];
    const next = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (next) {
      event.preventDefault();
      this.bars.scores[clamp(j + next, 0, this.n - 1)].focus();
    }
    if (event.key === 'Delete' || event.key === 'Backspace') {
      this.view.scores.delete(j);
      this.touched();
      this.why('scores', 0, j);
    }
    if (!change || !this.header.draggable) return;
    event.preventDefault();
    event.stopPropagation();
    const [low, high] = this.range;
    this.setScore(j, clamp(this.score(j) + (change * (high - low)) / 40, low, high));
  }

  title(name, order, parts) {
    const root = this.find('t-' + name);
    root.replaceChildren(
      create('b', '', order),
      ...parts.map(part => (typeof part === 'string' ? document.createTextNode(part) : part)),
    );
  }

  factor() {
    return this.view.scaled ? 1 / Math.sqrt(this.header.width) : 1;
  }
  ownScore(j) {
    return this.arrays['raw.before'][j] * (this.header.scaled ? 1 / Math.sqrt(this.header.width) : 1);
  }
  score(j) {
    return this.view.scores.get(j) ?? this.arrays.raw[j] * this.factor();
  }
  setScore(j, value) {
    this.view.scores.set(j, value);
    this.touched();
    this.why('scores', 0, j);
  }
  drag(j, event) {
    const box = this.bars.scores[j].getBoundingClientRect();
    const [low, high] = this.range;
    this.setScore(j, low + (high - low) * clamp((box.bottom - event.clientY) / box.height, 0, 1));
  }
  touched() {
    this.draw();
    this.report('view', this.text());
  }

  // What goes into the softmax: the scores over the temperature, hidden keys at minus infinity.
  softmaxInputs() {
    const { n, view } = this;
    return Array.from({ length: n }, (_, j) => (view.mask.has(j) ? -Infinity : this.score(j) / view.tau));
  }

  compute() {
    const { n, arrays } = this;
    const logits = this.softmaxInputs();
    const top = Math.max(...logits);
    const powers = logits.map(logit => Math.exp(logit - top));
    const total = powers.reduce((sum, power) => sum + power, 0);
    this.weights = powers.map(power => power / total);
    const width = arrays.values.shape[1];
    this.context = Float64Array.from({ length: width }, (_, i) => dotProduct(this.weights, arrays.values, i, width, n));
  }

  draw() {
    const { header, arrays } = this;
    const now = this.text();
    this.compute();
    const edited = now.tau !== '1' || now.scale !== 'as' || now.mask !== '' || now.scores !== '';
    const exact = edited && header.exact !== null && JSON.stringify(header.exact) === JSON.stringify(now);
    const waits = edited && !exact;
    const after = name => (exact ? arrays[`after.${name}`] : arrays[name]);
    this.combined = after('combined');
    this.output = after('output');
    this.logits = after('logits');
    this.chances = after('probabilities');
    this.root.classList.toggle('changed', edited);
    this.root.classList.toggle('waits', waits);
    this.drawControls(edited);
    this.drawStrips();
    this.drawScores();
    this.drawWeights();
    this.drawAnswers(edited, exact);
    this.titles();
    this.root.dataset.drawn = `${header.identity} ${waits ? 'waits' : 'exact'} ${JSON.stringify(now)}`;
    this.root.dataset.weights = this.weights.map(weight => weight.toFixed(5)).join(' ');
  }

  drawControls(edited) {
    this.find('tau').value = Math.log10(this.view.tau);
    this.find('tau-shown').textContent = this.view.tau.toFixed(2);
    this.find('scale').checked = this.view.scaled;
    this.find('unmask').disabled = !this.view.mask.size;
    this.find('reset').disabled = !edited;
    this.chars.forEach((button, j) => button.setAttribute('aria-pressed', String(this.view.mask.has(j))));
  }

  drawStrips() {
    const { header, arrays, n, d, strips } = this;
    const { query, keys, values } = arrays;
    const [keyWidth, valueWidth] = [keys.shape[1], values.shape[1]];
    const largest = Math.max(...this.weights);
    const fade = column => 0.12 + (0.88 * this.weights[column]) / largest;
    strips.query.draw(d, 1, row => query[row]);
    strips.keys.draw(keyWidth, n, (row, column) => keys[column * keyWidth + row]);
    strips.values.draw(valueWidth, n, (row, column) => values[column * valueWidth + row], fade);
    strips.context.draw(valueWidth, 1, row => this.context[row]);
    strips.combined.draw(1, this.combined.length, (_, column) => this.combined[column]);
    strips.output.draw(1, this.output.length, (_, column) => this.output[column]);
    if (header.parts.length > 1) {
      const cut = create('span', 'cut');
      cut.style.left = `${(header.parts[0][1] / this.combined.length) * 100}%`;
      this.find('combined').querySelector('.cut')?.remove();
      this.find('combined').append(cut);
    }
  }

  titles() {
    const { header, d } = this;
    const term = (text, name) => {
      const span = create('span', 'term');
      span.tabIndex = 0;
      typeset(span, text);
      span.onclick = span.onfocus = () => this.explain(name);
      return span;
    };
    this.title('query', '1', [
      'One query, ',
      `${this.n} key${this.n === 1 ? '' : 's'}. `,
      term('q', 'query'),
      ` is ${header.query_words}; each `,
      term('k_{j}', 'keys'),
      ` ${header.key_words}. ${d} numbers each.`,
    ]);
    this.title('scores', '2', ['Scores: how well does each key fit? ', term(header.formulas.score_short, 'scores')]);
    this.title('weights', '3', [
      'Softmax: shares that sum to 1. ',
      term('a_{j} = exp(e_{j}/τ) / Σ exp(e_{i}/τ)', 'weights'),
    ]);
    this.title('values', '4', [
      'Weighted sum of the values. ',
      term('c = Σ a_{j} v_{j}', 'context'),
      ' is what was read.',
    ]);
    const joined = header.parts.length > 1 ? 'Put beside the state: ' : 'Added to the state: ';
    this.title('combined', '5', [joined, term(header.formulas.combined_short, 'combined')]);
    this.title('output', '6', [term(header.formulas.output_short, 'output')]);
    this.title('answer', '7', ['The next character: ', term('p = softmax(W_{s} o + b_{s})', 'answer')]);
  }

  drawScores() {
    const { n, view } = this;
    const values = Array.from({ length: n }, (_, j) => this.score(j));
    if (!this.dragging) {
      const all = [...values, ...values.map((_, j) => this.ownScore(j))];
      const [low, high] = extent(all);
      const room = Math.max(1, (high - low) * 0.35);
      this.range = [low - room, high + room];
    }
    const [low, high] = this.range;
    const y = value => clamp((value - low) / (high - low), 0, 1) * 100;
    const zero = y(0);
    this.bars.scores.forEach((column, j) => {
      const [bar, line, text] = column.children;
      const at = y(values[j]);
      const base = low > 0 ? 0 : high < 0 ? 100 : zero;
      Object.assign(bar.style, { bottom: `${Math.min(at, base)}%`, height: `max(2px, ${Math.abs(at - base)}%)` });
      line.style.bottom = `${y(this.ownScore(j))}%`;
      text.textContent = this.n <= 24 ? decimal(values[j], 1) : '';
      text.style.bottom = `${Math.min(84, Math.max(at, base) + 1)}%`;
      column.classList.toggle('edited', view.scores.has(j));
      column.classList.toggle('off', view.mask.has(j));
      column.setAttribute('aria-valuenow', values[j].toFixed(3));
      column.setAttribute('aria-valuemin', low.toFixed(3));
      column.setAttribute('aria-valuemax', high.toFixed(3));
    });
    this.find('scores-axis').replaceChildren(create('span', '', decimal(high, 1)), create('span', '', decimal(low, 1)));
  }

  drawWeights() {
    this.bars.weights.forEach((column, j) => {
      const [bar, line, text] = column.children;
      const w = this.weights[j];
      Object.assign(bar.style, { bottom: 0, height: `${w * 100}%` });
      line.style.bottom = `${this.arrays.weights[j] * 100}%`;
      text.textContent = w >= 0.05 ? briefPercent(w) : '';
      text.style.bottom = `${Math.min(84, w * 100 + 1)}%`;
      column.classList.toggle('off', this.view.mask.has(j));
    });
  }

  drawAnswers(edited, exact) {
    const { header, arrays } = this;
    const before = arrays.probabilities;
    const now = this.chances;
    const order = [...header.alphabet.keys()];
    const top = chances => [...order].sort((a, b) => chances[b] - chances[a]).slice(0, 5);
    const shown = [...new Set([...top(now), ...top(before)])].slice(0, 7).sort((a, b) => now[b] - now[a]);
    this.find('answers').replaceChildren(...shown.map(k => this.answer(k, before[k], now[k], edited, exact)));
    this.drawGoesOn(edited, exact);
  }

  // A character that may come next: its chance, and where it was changed the one before.
  answer(k, before, now, edited, exact) {
    const item = create('li');
    const button = create('button');
    const track = create('span', 'track');
    const bar = create('i');
    button.type = 'button';
    bar.style.width = `${now * 100}%`;
    track.append(bar);
    if (edited) {
      const mark = create('u');
      mark.style.left = `calc(${before * 100}% - 1px)`;
      track.append(mark);
    }
    const after = exact ? percent(now, 1) : '…';
    const chance = edited ? `${percent(before, 1)} → ${after}` : percent(now, 1);
    button.append(create('code', '', visible(this.header.alphabet[k])), track, create('span', '', chance));
    button.onclick = button.onfocus = () => this.why('answer', 0, k);
    item.append(button);
    return item;
  }

  drawGoesOn(edited, exact) {
    const { header } = this;
    const goes = this.find('goes-on');
    goes.textContent = '';
    const written = text => (text ? create('code', '', text) : 'nothing at all');
    if (!edited) {
      goes.append(header.along ? 'Likeliest along this answer: ' : 'Its whole answer: ', written(header.output));
      return;
    }
    if (!exact) {
      goes.textContent = 'Computing what follows …';
      return;
    }
    const same = header.exact_output === header.output;
    goes.append(
      header.along ? 'Likeliest along this answer is then ' : 'It writes ',
      written(header.exact_output),
      same ? ', as before.' : ' instead of ',
      same ? '' : written(header.output),
    );
  }

  light(j) {
    for (const row of [this.bars.scores, this.bars.weights, this.chars])
      row.forEach((part, i) => part.classList.toggle('lit', i === j));
  }

  explain(name) {
    const strip = this.strips[name];
    if (strip) this.why(name, ...strip.cell);
    else this.why(name, 0, this.best(name));
  }
  best(name) {
    const values = name === 'answer' ? [...this.chances] : this.weights;
    return values.indexOf(Math.max(...values));
  }

  // The formula behind a number, with what went into it.
  why(name, row, column) {
    const { title, formula, numbers } = EXPLANATIONS[name](this, row, column);
    if (name === 'keys' || name === 'values') this.light(column);
    this.find('why-name').textContent = title;
    typeset(this.find('why-formula'), formula);
    typeset(this.find('why-numbers'), numbers);
    this.root.dataset.why = `${name} ${row} ${column}`;
  }
}

export default mount(DecoderStep);
