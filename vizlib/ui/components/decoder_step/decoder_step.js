const shown = char => (char === ' ' ? '␣' : char);
const f = value =>
  (Number.isFinite(value)
    ? Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 5e-4)
      ? value.toExponential(1)
      : value.toFixed(3)
    : '−∞'
  ).replace('-', '−');
const share = value => (value > 0 && value < 0.0005 ? '< 0.1' : (value * 100).toFixed(1)) + ' %';
const dotted = (a, b, at, by, count) => {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[i] * b[at + i * by];
  return sum;
};

// A text in which _{...} is set lower: formulas need no more than that here.
function typeset(root, text) {
  root.replaceChildren(
    ...text
      .split(/([_^]\{[^}]*\})/)
      .filter(Boolean)
      .map(part =>
        /^[_^]\{/.test(part)
          ? el(part[0] === '_' ? 'sub' : 'sup', '', part.slice(2, -1))
          : document.createTextNode(part),
      ),
  );
}

// The largest products of a sum, and what all others come to.
function terms(pairs, most = 3) {
  const sorted = [...pairs].sort((a, b) => Math.abs(b[0] * b[1]) - Math.abs(a[0] * a[1]));
  const first = sorted.slice(0, most);
  const rest = sorted.slice(most).reduce((sum, [a, b]) => sum + a * b, 0);
  const more = sorted.length - first.length;
  return (
    first.map(([a, b]) => `${f(a)} × ${f(b)}`).join(' + ') +
    (more > 0 ? ` + ${more} smaller products that come to ${f(rest)}` : '')
  );
}

// A vector or a matrix as a strip of colours; a click or Enter asks for the number's formula.
class Strip {
  constructor(root, name, why) {
    this.root = root;
    this.why = why;
    this.at = [0, 0];
    root.tabIndex = 0;
    root.setAttribute('role', 'application');
    root.setAttribute('aria-label', `${name}: arrow keys move from number to number`);
    this.canvas = el('canvas');
    this.mark = el('span', 'mark');
    root.replaceChildren(this.canvas, this.mark);
    root.onpointermove = e => this.go(cellAt(e, root, this.shape));
    root.onclick = e => this.go(cellAt(e, root, this.shape));
    root.onpointerleave = () => {
      if (root.getRootNode().activeElement !== root) this.mark.style.display = 'none';
    };
    root.onfocus = () => this.go(this.at);
    root.onblur = () => {
      this.mark.style.display = 'none';
    };
    root.onkeydown = e => {
      const move = ARROWS[e.key];
      if (!move) return;
      e.preventDefault();
      e.stopPropagation();
      this.go(this.at.map((one, axis) => Math.max(0, Math.min(this.shape[axis] - 1, one + move[axis]))));
    };
  }

  // values(row, column) with a factor that fades columns which count for little
  draw(rows, columns, value, fade = () => 1) {
    this.shape = [rows, columns];
    this.at = [Math.min(this.at[0], rows - 1), Math.min(this.at[1], columns - 1)];
    let peak = 1e-12;
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) peak = Math.max(peak, Math.abs(value(r, c)));
    paint(this.canvas, rows, columns, i => {
      const c = i % columns;
      const pixel = signed(value((i - c) / columns, c) / peak);
      return ((pixel & 0xffffff) | (Math.round(255 * fade(c)) << 24)) >>> 0;
    });
  }

  go([row, column]) {
    this.at = [row, column];
    const [rows, columns] = this.shape;
    place(this.mark, [row / rows, column / columns, (row + 1) / rows, (column + 1) / columns]);
    this.why(row, column);
  }
}

class Apart {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.strips = Object.fromEntries(
      [
        ['query', 'Query'],
        ['keys', 'Keys'],
        ['values', 'Values'],
        ['context', 'Context'],
        ['combined', 'Combined'],
        ['output', 'Output'],
      ].map(([name, word]) => [name, new Strip(this.find(name), word, (row, column) => this.why(name, row, column))]),
    );
    this.find('tau').oninput = e => {
      this.view.tau = 10 ** Number(e.target.value);
      this.touched();
    };
    this.find('scale').onchange = e => {
      this.view.scaled = e.target.checked;
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

  // The view as the page keeps it; mirrors Edit in vizlib/ui/seq2seq_step.py.
  text() {
    const { tau, scaled, mask, scores } = this.view;
    return {
      tau: String(Number(tau.toFixed(4))),
      scale: scaled === this.header.scaled ? 'as' : scaled ? 'on' : 'off',
      mask: [...mask].sort((a, b) => a - b).join('_'),
      scores: [...scores]
        .sort((a, b) => a[0] - b[0])
        .map(([j, e]) => `${j}:${Number(e.toFixed(4))}`)
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
      const [j, e] = part.split(':').map(Number);
      view.scores.set(j, e);
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
    if (fresh || (given !== this.given && given !== JSON.stringify(this.text()) && !this.held))
      this.view = this.parse(header.view);
    this.given = given;
    if (fresh) this.build();
    this.draw();
  }

  build() {
    const { header, n } = this;
    this.root.classList.toggle('fixed', !header.draggable);
    this.chars = header.source.map((char, j) => {
      const button = el('button', '', shown(char));
      button.type = 'button';
      button.title = 'Click: hide this key, or show it again';
      button.setAttribute('aria-label', `Hide key ${j + 1}, ${shown(char)}`);
      button.onclick = () => {
        if (!this.view.mask.delete(j) && this.view.mask.size < n - 1) this.view.mask.add(j);
        this.touched();
      };
      return button;
    });
    this.find('chars').replaceChildren(...this.chars);
    const columns = (name, label) => {
      const made = header.source.map((char, j) => {
        const one = el('div', 'column');
        one.append(el('i'), el('u'), el('span'));
        one.tabIndex = 0;
        one.setAttribute('role', name === 'scores' && header.draggable ? 'slider' : 'button');
        one.setAttribute('aria-label', `${label} of character ${j + 1}, ${shown(char)}`);
        one.onpointerenter = one.onfocus = () => {
          this.light(j);
          this.why(name, 0, j);
        };
        one.onclick = () => this.why(name, 0, j);
        return one;
      });
      this.find(name).replaceChildren(...made);
      this.find(name).onpointerleave = () => this.light(-1);
      return made;
    };
    this.bars = { scores: columns('scores', 'Score'), weights: columns('weights', 'Weight') };
    this.bars.scores.forEach((one, j) => {
      one.onpointerdown = e => {
        if (!header.draggable || this.view.mask.has(j)) return;
        one.setPointerCapture(e.pointerId);
        this.held = true;
        this.drag(j, e);
      };
      one.onpointermove = e => {
        if (this.held && one.hasPointerCapture(e.pointerId)) this.drag(j, e);
      };
      one.onpointerup = one.onpointercancel = () => {
        this.held = false;
      };
      one.onkeydown = e => {
        const way = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[e.key];
        const next = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
        if (next) {
          e.preventDefault();
          this.bars.scores[Math.max(0, Math.min(n - 1, j + next))].focus();
        }
        if (e.key === 'Delete' || e.key === 'Backspace') {
          this.view.scores.delete(j);
          this.touched();
          this.why('scores', 0, j);
        }
        if (!way || !header.draggable) return;
        e.preventDefault();
        e.stopPropagation();
        const [low, high] = this.range;
        this.set(j, Math.max(low, Math.min(high, this.score(j) + (way * (high - low)) / 40)));
      };
    });
    this.find('why-name').textContent = 'Point at any number';
    typeset(this.find('why-formula'), header.formulas.all);
    this.find('why-numbers').textContent = 'Its formula appears here with the numbers that went into it.';
  }

  title(name, number, parts) {
    const root = this.find('t-' + name);
    root.replaceChildren(
      el('b', '', number),
      ...parts.map(part => (typeof part === 'string' ? document.createTextNode(part) : part)),
    );
  }

  factor() {
    return this.view.scaled ? 1 / Math.sqrt(this.header.width) : 1;
  }
  own(j) {
    return this.arrays['raw.before'][j] * (this.header.scaled ? 1 / Math.sqrt(this.header.width) : 1);
  }
  score(j) {
    return this.view.scores.get(j) ?? this.arrays.raw[j] * this.factor();
  }
  set(j, value) {
    this.view.scores.set(j, value);
    this.touched();
    this.why('scores', 0, j);
  }
  drag(j, event) {
    const box = this.bars.scores[j].getBoundingClientRect();
    const [low, high] = this.range;
    this.set(j, low + (high - low) * Math.max(0, Math.min(1, (box.bottom - event.clientY) / box.height)));
  }
  touched() {
    this.draw();
    this.tell('view', this.text());
  }

  compute() {
    const { n, view, arrays } = this;
    const z = Array.from({ length: n }, (_, j) => (view.mask.has(j) ? -Infinity : this.score(j) / view.tau));
    const top = Math.max(...z);
    const powers = z.map(one => Math.exp(one - top));
    const total = powers.reduce((a, b) => a + b, 0);
    this.weights = powers.map(one => one / total);
    const dv = arrays.values.shape[1];
    this.context = Float64Array.from({ length: dv }, (_, i) => dotted(this.weights, arrays.values, i, dv, n));
  }

  draw() {
    const { header, arrays, n, d, strips } = this;
    const dv = arrays.values.shape[1];
    const now = this.text();
    this.compute();
    const edited = now.tau !== '1' || now.scale !== 'as' || now.mask !== '' || now.scores !== '';
    const exact = edited && header.exact !== null && JSON.stringify(header.exact) === JSON.stringify(now);
    const waits = edited && !exact;
    this.root.classList.toggle('changed', edited);
    this.root.classList.toggle('waits', waits);
    this.find('tau').value = Math.log10(this.view.tau);
    this.find('tau-shown').textContent = this.view.tau.toFixed(2);
    this.find('scale').checked = this.view.scaled;
    this.find('unmask').disabled = !this.view.mask.size;
    this.find('reset').disabled = !edited;
    this.chars.forEach((one, j) => one.setAttribute('aria-pressed', String(this.view.mask.has(j))));
    strips.query.draw(d, 1, r => arrays.query[r]);
    strips.keys.draw(arrays.keys.shape[1], n, (r, c) => arrays.keys[c * arrays.keys.shape[1] + r]);
    const largest = Math.max(...this.weights);
    strips.values.draw(
      dv,
      n,
      (r, c) => arrays.values[c * dv + r],
      c => 0.12 + (0.88 * this.weights[c]) / largest,
    );
    strips.context.draw(dv, 1, r => this.context[r]);
    const after = name => (exact ? arrays[`after.${name}`] : arrays[name]);
    this.combined = after('combined');
    this.output = after('output');
    this.logits = after('logits');
    this.chances = after('probabilities');
    strips.combined.draw(1, this.combined.length, (_, c) => this.combined[c]);
    strips.output.draw(1, this.output.length, (_, c) => this.output[c]);
    if (header.parts.length > 1) {
      const cut = el('span', 'cut');
      cut.style.left = `${(header.parts[0][1] / this.combined.length) * 100}%`;
      this.find('combined').querySelector('.cut')?.remove();
      this.find('combined').append(cut);
    }
    this.drawScores();
    this.drawWeights();
    this.drawAnswers(edited, exact);
    this.titles();
    this.root.dataset.drawn = `${header.identity} ${waits ? 'waits' : 'exact'} ${JSON.stringify(now)}`;
    this.root.dataset.weights = this.weights.map(one => one.toFixed(5)).join(' ');
  }

  titles() {
    const { header, d } = this;
    const term = (text, name) => {
      const one = el('span', 'term');
      one.tabIndex = 0;
      typeset(one, text);
      one.onclick = one.onfocus = () => this.explain(name);
      return one;
    };
    this.title('query', '1', [
      'One query, ',
      String(this.n),
      ' keys. ',
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
    this.title('combined', '5', ['Put beside the state: ', term(header.formulas.combined_short, 'combined')]);
    this.title('output', '6', [term(header.formulas.output_short, 'output')]);
    this.title('answer', '7', ['The next character: ', term('p = softmax(W_{o} o + b)', 'answer')]);
  }

  drawScores() {
    const { n, view } = this;
    const values = Array.from({ length: n }, (_, j) => this.score(j));
    if (!this.held) {
      const all = [...values, ...values.map((_, j) => this.own(j))];
      const [low, high] = ends(all);
      const room = Math.max(1, (high - low) * 0.35);
      this.range = [low - room, high + room];
    }
    const [low, high] = this.range;
    const y = value => Math.max(0, Math.min(1, (value - low) / (high - low))) * 100;
    const zero = y(0);
    this.bars.scores.forEach((one, j) => {
      const [bar, line, text] = one.children;
      const at = y(values[j]);
      const base = low > 0 ? 0 : high < 0 ? 100 : zero;
      Object.assign(bar.style, { bottom: `${Math.min(at, base)}%`, height: `max(2px, ${Math.abs(at - base)}%)` });
      line.style.bottom = `${y(this.own(j))}%`;
      text.textContent = this.n <= 24 ? values[j].toFixed(1).replace('-', '−') : '';
      text.style.bottom = `${Math.min(84, Math.max(at, base) + 1)}%`;
      one.classList.toggle('edited', view.scores.has(j));
      one.classList.toggle('off', view.mask.has(j));
      one.setAttribute('aria-valuenow', values[j].toFixed(3));
      one.setAttribute('aria-valuemin', low.toFixed(3));
      one.setAttribute('aria-valuemax', high.toFixed(3));
    });
    this.find('scores-axis').replaceChildren(
      el('span', '', high.toFixed(1)),
      el('span', '', low.toFixed(1).replace('-', '−')),
    );
  }

  drawWeights() {
    this.bars.weights.forEach((one, j) => {
      const [bar, line, text] = one.children;
      const w = this.weights[j];
      Object.assign(bar.style, { bottom: 0, height: `${w * 100}%` });
      line.style.bottom = `${this.arrays.weights[j] * 100}%`;
      text.textContent = w >= 0.05 ? `${(w * 100).toFixed(0)}%` : '';
      text.style.bottom = `${Math.min(84, w * 100 + 1)}%`;
      one.classList.toggle('off', this.view.mask.has(j));
    });
  }

  drawAnswers(edited, exact) {
    const { header, arrays } = this;
    const before = arrays.probabilities;
    const p = this.chances;
    const order = [...header.alphabet.keys()];
    const top = values => [...order].sort((a, b) => values[b] - values[a]).slice(0, 5);
    const seen = [...new Set([...top(p), ...top(before)])].slice(0, 7);
    seen.sort((a, b) => p[b] - p[a]);
    this.find('answers').replaceChildren(
      ...seen.map(k => {
        const item = el('li');
        const button = el('button');
        const track = el('span', 'track');
        const bar = el('i');
        button.type = 'button';
        bar.style.width = `${p[k] * 100}%`;
        track.append(bar);
        if (edited) {
          const was = el('u');
          was.style.left = `calc(${before[k] * 100}% - 1px)`;
          track.append(was);
        }
        button.append(
          el('code', '', shown(header.alphabet[k])),
          track,
          el('span', '', edited ? `${share(before[k])} → ${exact ? share(p[k]) : '…'}` : share(p[k])),
        );
        button.onclick = button.onfocus = () => this.why('answer', 0, k);
        item.append(button);
        return item;
      }),
    );
    const goes = this.find('goes-on');
    goes.textContent = '';
    if (!edited) {
      goes.append('Then it writes on: ', el('code', '', header.output));
      return;
    }
    if (!exact) {
      goes.textContent = 'Computing what follows …';
      return;
    }
    goes.append(
      'It writes ',
      el('code', '', header.exact_output || '(nothing)'),
      header.exact_output === header.output ? ', as before.' : ' instead of ',
      header.exact_output === header.output ? '' : el('code', '', header.output),
    );
  }

  light(j) {
    for (const row of [this.bars.scores, this.bars.weights, this.chars])
      row.forEach((one, i) => one.classList.toggle('lit', i === j));
  }

  explain(name) {
    const strip = this.strips[name];
    if (strip) this.why(name, ...strip.at);
    else this.why(name, 0, this.best(name));
  }
  best(name) {
    const values = name === 'answer' ? [...this.chances] : this.weights;
    return values.indexOf(Math.max(...values));
  }

  why(name, row, column) {
    const { header, arrays, d, n, view } = this;
    const { source, formulas } = header;
    const dv = arrays.values.shape[1];
    const char = j => `“${shown(source[j])}”`;
    const say = (title, formula, numbers) => {
      this.find('why-name').textContent = title;
      typeset(this.find('why-formula'), formula);
      typeset(this.find('why-numbers'), numbers);
      this.root.dataset.why = `${name} ${row} ${column}`;
    };
    if (name === 'query')
      return say(
        `Query, number ${row + 1} of ${d}: ${f(arrays.query[row])}`,
        formulas.query,
        `${header.query_words}: the question that is asked of every key.`,
      );
    if (name === 'keys') {
      this.light(column);
      return say(
        `Key of ${char(column)}, number ${row + 1} of ${d}: ${f(arrays.keys[column * d + row])}`,
        formulas.keys,
        `Each key ${header.key_words}.`,
      );
    }
    if (name === 'scores') return this.whyScore(say, column, char);
    if (name === 'weights') {
      if (view.mask.has(column))
        return say(
          `Weight of ${char(column)}: 0`,
          'a_{j} = exp(−∞) / … = 0',
          'Its key is hidden: the score counts as −∞.',
        );
      const all = Array.from({ length: n }, (_, j) => (view.mask.has(j) ? -Infinity : this.score(j) / view.tau));
      const top = Math.max(...all);
      const total = all.reduce((sum, z) => sum + Math.exp(z - top), 0);
      return say(
        `Weight of ${char(column)}: ${f(this.weights[column])}`,
        'a_{j} = exp(e_{j}/τ) / Σ_{i} exp(e_{i}/τ)',
        `exp(${f(this.score(column))} / ${view.tau.toFixed(2)} − ${f(top)}) / ${f(total)} = ${f(Math.exp(all[column] - top))} / ${f(total)} = ${f(this.weights[column])}. The largest score is subtracted everywhere: that changes nothing and nothing overflows.`,
      );
    }
    if (name === 'values') {
      this.light(column);
      return say(
        `Value of ${char(column)}, number ${row + 1} of ${dv}: ${f(arrays.values[column * dv + row])}`,
        formulas.values,
        `Counts ${share(this.weights[column])}: ${f(this.weights[column])} × ${f(arrays.values[column * dv + row])} = ${f(this.weights[column] * arrays.values[column * dv + row])} goes into the context.`,
      );
    }
    if (name === 'context')
      return say(
        `Context, number ${row + 1} of ${dv}: ${f(this.context[row])}`,
        'c = Σ_{j} a_{j} v_{j}',
        `${terms(Array.from({ length: n }, (_, j) => [this.weights[j], arrays.values[j * dv + row]]))} = ${f(this.context[row])}`,
      );
    if (name === 'combined') {
      let at = column;
      let part = header.parts[0];
      for (part of header.parts) {
        if (at < part[1]) break;
        at -= part[1];
      }
      return say(
        `Number ${column + 1} of ${this.combined.length}: ${f(this.combined[column])}`,
        formulas.combined,
        `It is number ${at + 1} of the ${part[0]}.`,
      );
    }
    if (name === 'output')
      return say(
        `Output, number ${column + 1} of ${this.output.length}: ${f(this.output[column])}`,
        formulas.output,
        header.squashed
          ? `tanh(${f(Math.atanh(Math.max(-0.9999999, Math.min(0.9999999, this.output[column]))))}) = ${f(this.output[column])}; the argument is a learned sum over all ${this.combined.length} numbers above.`
          : `A learned function of all ${this.combined.length} numbers above.`,
      );
    const k = column;
    const top = Math.max(...this.logits);
    const total = this.logits.reduce((sum, z) => sum + Math.exp(z - top), 0);
    return say(
      `Probability of “${shown(header.alphabet[k])}”: ${share(this.chances[k])}`,
      'p_{k} = exp(z_{k}) / Σ_{i} exp(z_{i}),   z = W_{o} o + b',
      `z_{k} = ${f(this.logits[k])}; exp(${f(this.logits[k])} − ${f(top)}) / ${f(total)} = ${f(this.chances[k])}`,
    );
  }

  whyScore(say, j, char) {
    const { header, arrays, d, view } = this;
    const { formulas } = header;
    if (view.scores.has(j))
      return say(
        `Score of ${char(j)}: ${f(this.score(j))}, set by hand`,
        formulas.score,
        `The model had ${f(this.own(j))}. Delete gives it back.`,
      );
    const scaled = view.scaled ? ` / √${header.width} = ${f(this.score(j))}` : '';
    if (!header.products)
      return say(
        `Score of ${char(j)}: ${f(this.score(j))}`,
        formulas.score,
        `A learned function of both vectors; it gave ${f(arrays.raw[j])}${scaled}.`,
      );
    return say(
      `Score of ${char(j)}: ${f(this.score(j))}`,
      formulas.score,
      `(${terms(Array.from({ length: d }, (_, i) => [arrays.query[i], arrays.keys[j * d + i]]))}) = ${f(dotted(arrays.query, arrays.keys, j * d, 1, d))}${scaled}`,
    );
  }
}

export default mount(Apart);
