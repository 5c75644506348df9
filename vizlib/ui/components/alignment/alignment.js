const STEP = 220; // milliseconds a character while it plays
const shown = char => (char === ' ' ? '␣' : char);
const quoted = char => (char === ' ' ? 'the blank' : char === '■' ? 'the end' : `“${char}”`);
const share = value => (value > 0 && value < 0.0005 ? '< 0.1' : (value * 100).toFixed(1)) + ' %';

class Alignment {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.sheet = this.find('sheet');
    this.quiet = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.find('play').onclick = () => (this.timer ? this.pause() : this.play());
    this.find('back').onclick = () => {
      this.pause();
      this.write(this.count - 1);
    };
    this.find('forward').onclick = () => {
      this.pause();
      this.write(this.count + 1);
    };
    this.find('written').oninput = e => {
      this.pause();
      this.write(Number(e.target.value));
    };
    this.find('heads').onchange = e => {
      this.head = Number(e.target.value);
      this.paint();
      this.point(this.row, this.column);
    };
    this.sheet.onpointermove = e => this.over(e);
    this.sheet.onpointerleave = () => this.point(this.step, -1);
    this.sheet.onclick = e => {
      const at = this.place(e);
      if (at) this.choose(at[0]);
    };
    this.sheet.onkeydown = e => this.key(e);
    this.sheet.onfocus = () => this.point(this.row, Math.max(0, this.column));
  }

  destroy() {
    this.pause();
  }

  load(header, arrays) {
    const fresh = header.identity !== this.header?.identity;
    const moved = fresh || header.step !== this.header.step;
    this.header = header;
    this.weights = arrays.weights;
    this.n = header.source.length;
    this.rows = header.tokens.length;
    this.mapped = Boolean(this.weights);
    if (moved) this.step = header.step;
    if (!fresh) {
      this.paint();
      this.point(moved ? this.step : this.row, this.column);
      return;
    }
    this.head = 0;
    this.row = this.step;
    this.column = -1;
    this.find('heads-box').style.display = header.heads.length > 1 ? '' : 'none';
    this.find('heads').replaceChildren(...header.heads.map((name, i) => new Option(name, i)));
    for (const name of ['legend', 'across']) this.find(name).style.display = this.mapped ? '' : 'none';
    this.find('written').max = this.rows;
    this.build();
    this.count = this.quiet || header.still ? this.rows : 0;
    if (this.count) {
      this.pause();
      this.write(this.rows);
    } else this.play();
  }

  weight(row, column) {
    return this.weights[(row * this.header.heads.length + this.head) * this.n + column];
  }
  covered(row) {
    return this.header.covered >= 0 && row >= this.header.covered;
  }

  build() {
    const { header, n, rows, mapped } = this;
    const columns = mapped ? n : 1;
    this.sheet.style.gridTemplateColumns = mapped ? `auto repeat(${n}, minmax(9px, 1fr))` : 'auto minmax(180px, 1fr)';
    this.sheet.style.maxWidth = mapped ? `${n * 40 + 40}px` : '460px';
    this.tops = header.source.map(char => el('span', '', shown(char)));
    this.sides = [];
    this.cells = [];
    const parts = mapped ? [el('span', 'of'), ...this.tops] : [];
    for (let row = 0; row < rows; row++) {
      const side = el('span', 'of', shown(header.tokens[row]));
      const cells = Array.from({ length: columns }, () => el('span', 'cell'));
      if (!mapped) {
        const bar = el('i');
        bar.style.width = `${header.sure[row] * 100}%`;
        cells[0].classList.add('sure');
        cells[0].append(bar);
      }
      this.sides.push(side);
      this.cells.push(cells);
      parts.push(side, ...cells);
    }
    this.sheet.replaceChildren(...parts);
    this.places = new Map(
      this.cells.flatMap((cells, row) => cells.map((cell, column) => [cell, [row, mapped ? column : -1]])),
    );
    this.sides.forEach((side, row) => this.places.set(side, [row, -1]));
    this.sheet.setAttribute(
      'aria-label',
      mapped
        ? `${header.title}: ${rows} written characters by ${n} read ones. Arrow keys move; each cell is read out.`
        : `${header.title}: ${rows} written characters. Up and down move; each is read out.`,
    );
    const letters = (chars, over) =>
      chars.map((char, i) => {
        const one = el('i', '', char);
        one.onpointerenter = () => over(i);
        one.onpointerleave = () => this.point(this.step, -1);
        return one;
      });
    this.read = letters(header.source, i => this.point(this.row, i));
    this.wrote = letters(header.tokens, i => {
      if (i < this.count) this.point(i, -1);
    });
    this.wrote.forEach((one, i) => {
      one.onclick = () => this.choose(i);
    });
    this.find('reads').replaceChildren(...this.read);
    this.find('writes').replaceChildren(...this.wrote);
    this.paint();
  }

  paint() {
    if (!this.mapped) return;
    this.cells.forEach((cells, row) =>
      cells.forEach((cell, column) => {
        const hidden = this.covered(row);
        cell.classList.toggle('covered', hidden);
        cell.style.background = hidden
          ? ''
          : `color-mix(in oklab, var(--ink) ${(this.weight(row, column) * 100).toFixed(2)}%, var(--st-secondary-background-color))`;
      }),
    );
  }

  play() {
    if (this.count >= this.rows) this.count = 0;
    this.pause();
    const go = () => {
      this.write(this.count + 1);
      if (this.count >= this.rows) this.pause();
    };
    this.timer = setInterval(go, STEP);
    go();
    this.buttons();
  }
  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.buttons();
  }
  buttons() {
    const play = this.find('play');
    play.textContent = this.timer ? '❚❚' : '▶';
    play.setAttribute('aria-label', this.timer ? 'Pause' : 'Write it again, character by character');
    this.find('back').disabled = !this.count;
    this.find('forward').disabled = this.count >= this.rows;
  }

  write(count) {
    this.count = Math.max(0, Math.min(this.rows, count));
    this.find('written').value = this.count;
    this.find('written-shown').textContent = `${this.count} of ${this.rows}`;
    this.cells.forEach((cells, row) => {
      for (const one of [this.sides[row], ...cells]) one.classList.toggle('later', row >= this.count);
    });
    this.wrote.forEach((one, i) => {
      one.style.visibility = i < this.count ? '' : 'hidden';
    });
    this.buttons();
    const last = this.count === this.rows ? this.step : Math.max(0, this.count - 1);
    this.point(last, -1);
  }

  place(event) {
    return this.places.get(event.target.closest('.cell, .of'));
  }
  over(event) {
    const at = this.place(event);
    if (at && at[0] < this.count) this.point(at[0], at[1]);
  }
  choose(row) {
    if (row >= this.count) return;
    this.pause();
    this.step = row;
    this.point(row, this.column);
    this.tell('view', { step: String(row) });
  }

  key(event) {
    const move = ARROWS[event.key];
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.choose(this.row);
    }
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    this.pause();
    const clip = (value, count) => Math.max(0, Math.min(count - 1, value));
    this.point(
      clip(this.row + move[0], Math.max(1, this.count)),
      this.mapped ? clip(this.column + move[1], this.n) : -1,
    );
  }

  point(row, column) {
    this.row = row;
    this.column = column;
    const { header, mapped } = this;
    const hidden = this.covered(row);
    const drawn = row < this.count;
    this.cells.forEach((cells, r) =>
      cells.forEach((cell, c) => cell.classList.toggle('on', drawn && r === row && c === column)),
    );
    this.sides.forEach((side, r) => {
      side.classList.toggle('lit', drawn && r === row);
      side.classList.toggle('held', r === this.step);
      side.classList.toggle('wrong', header.given && header.own[r] !== header.tokens[r]);
    });
    this.tops.forEach((top, c) => top.classList.toggle('lit', c === column));
    this.read.forEach((one, c) => {
      one.classList.toggle('lit', c === column);
      one.style.background =
        mapped && drawn && !hidden
          ? `color-mix(in oklab, var(--ink) ${(this.weight(row, c) * 70).toFixed(1)}%, transparent)`
          : '';
    });
    this.wrote.forEach((one, r) => {
      one.classList.toggle('lit', drawn && r === row);
      one.classList.toggle('blank', header.tokens[r] === '■');
      one.classList.toggle('wrong', header.given && header.own[r] !== header.tokens[r]);
    });
    this.tellSide(row);
    this.find('reading').textContent = this.words(row, column, hidden);
    this.root.dataset.drawn = `${header.identity} ${this.count} ${row} ${column} ${this.head}`;
  }

  tellSide(row) {
    const { header } = this;
    const token = header.tokens[row];
    const fact =
      row < this.count
        ? `Step ${row + 1} of ${this.rows}: ${header.given ? 'is given' : 'writes'} ${quoted(token)}`
        : 'Nothing is written yet.';
    this.find('fact').textContent =
      fact + (header.given && header.own[row] !== token ? `, would have written ${quoted(header.own[row])}` : '');
    this.find('bars').replaceChildren(
      ...(row < this.count ? header.top[row] : []).map(([char, p]) => {
        const line = el('li', char === token ? 'taken' : '');
        const track = el('span', 'track');
        const bar = el('i');
        bar.style.width = `${p * 100}%`;
        track.append(bar);
        line.append(el('code', '', shown(char)), track, el('span', '', share(p)));
        return line;
      }),
    );
    this.find('beside').textContent =
      header.beams.length > 1
        ? 'Candidates of the beam, log-probability:\n' +
          header.beams.map(([text, log]) => `${log.toFixed(2)}  ${text || '(nothing)'}`).join('\n')
        : '';
  }

  words(row, column, hidden) {
    const { header, n } = this;
    if (row >= this.count) return 'Press play to watch it write.';
    const doing = `${header.given ? 'Given' : 'Writing'} ${quoted(header.tokens[row])}, step ${row + 1} of ${this.rows}`;
    if (!this.mapped)
      return `${doing}: probability ${share(header.sure[row])}. This model has no attention: all it knows of the sentence is one vector.`;
    if (hidden) return `${doing}: where it looks is covered until you have predicted it.`;
    let best = 0;
    for (let c = 1; c < n; c++) if (this.weight(row, c) > this.weight(row, best)) best = c;
    const most = `${column < 0 ? 'it looks most' : 'Most'} at ${quoted(header.source[best])}, character ${best + 1}: ${share(this.weight(row, best))}.`;
    return column < 0
      ? `${doing}: ${most}`
      : `${doing}: ${share(this.weight(row, column))} at ${quoted(header.source[column])}, character ${column + 1} of ${n}. ${most}`;
  }
}

export default mount(Alignment);
