import { Component, mount } from '../_lib/component.js';
import { create } from '../_lib/dom.js';
import { decimal, percent, visible } from '../_lib/formatting.js';
import { clamp, takeArrow } from '../_lib/grid.js';

const STEP = 220; // milliseconds a character while it plays
const quoted = char => (char === ' ' ? 'the blank' : char === '■' ? 'the end' : `“${char}”`);

class Alignment extends Component {
  static fullScreen = true;

  constructor(root) {
    super(root);
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
    this.find('written').oninput = event => {
      this.pause();
      this.write(Number(event.target.value));
    };
    this.find('heads').onchange = event => {
      this.head = Number(event.target.value);
      this.paint();
      this.point(this.row, this.column);
    };
    this.sheet.onpointermove = event => this.over(event);
    this.sheet.onpointerleave = () => this.point(this.step, -1);
    this.sheet.onclick = event => {
      const at = this.place(event);
      if (at) this.choose(at[0]);
    };
    this.sheet.onkeydown = event => this.key(event);
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
    this.tops = header.source.map(char => create('span', '', visible(char)));
    this.sides = [];
    this.cells = [];
    const parts = mapped ? [create('span', 'of'), ...this.tops] : [];
    for (let row = 0; row < rows; row++) {
      const side = create('span', 'of', visible(header.tokens[row]));
      const cells = Array.from({ length: columns }, () => create('span', 'cell'));
      if (!mapped) {
        const bar = create('i');
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
        const letter = create('i', '', char);
        letter.onpointerenter = () => over(i);
        letter.onpointerleave = () => this.point(this.step, -1);
        return letter;
      });
    this.read = letters(header.source, i => this.point(this.row, i));
    this.wrote = letters(header.tokens, i => {
      if (i < this.count) this.point(i, -1);
    });
    this.wrote.forEach((letter, i) => {
      letter.onclick = () => this.choose(i);
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
        const ink = `var(--ink) ${(this.weight(row, column) * 100).toFixed(2)}%`;
        cell.classList.toggle('covered', hidden);
        cell.style.background = hidden ? '' : `color-mix(in oklab, ${ink}, var(--st-secondary-background-color))`;
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
    this.count = clamp(count, 0, this.rows);
    this.find('written').value = this.count;
    this.find('written-shown').textContent = `${this.count} of ${this.rows}`;
    this.cells.forEach((cells, row) => {
      for (const part of [this.sides[row], ...cells]) part.classList.toggle('later', row >= this.count);
    });
    this.wrote.forEach((letter, i) => {
      letter.style.visibility = i < this.count ? '' : 'hidden';
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
    this.report('view', { step: String(row) });
  }

  key(event) {
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.choose(this.row);
    }
    const step = takeArrow(event);
    if (!step) return;
    this.pause();
    const row = clamp(this.row + step[0], 0, Math.max(1, this.count) - 1);
    this.point(row, this.mapped ? clamp(this.column + step[1], 0, this.n - 1) : -1);
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
      side.classList.toggle('current', r === this.step);
      side.classList.toggle('wrong', header.given && header.own[r] !== header.tokens[r]);
    });
    this.tops.forEach((top, c) => top.classList.toggle('lit', c === column));
    this.read.forEach((letter, c) => {
      letter.classList.toggle('lit', c === column);
      letter.style.background =
        mapped && drawn && !hidden
          ? `color-mix(in oklab, var(--ink) ${(this.weight(row, c) * 70).toFixed(1)}%, transparent)`
          : '';
    });
    this.wrote.forEach((letter, r) => {
      letter.classList.toggle('lit', drawn && r === row);
      letter.classList.toggle('blank', header.tokens[r] === '■');
      letter.classList.toggle('wrong', header.given && header.own[r] !== header.tokens[r]);
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
        const line = create('li', char === token ? 'taken' : '');
        const track = create('span', 'track');
        const bar = create('i');
        bar.style.width = `${p * 100}%`;
        track.append(bar);
        line.append(create('code', '', visible(char)), track, create('span', '', percent(p, 1)));
        return line;
      }),
    );
    this.find('beside').textContent =
      header.beams.length > 1
        ? 'Candidates of the beam, log-probability:\n' +
          header.beams.map(([text, log]) => `${decimal(log)}  ${text || '(nothing)'}`).join('\n')
        : '';
  }

  words(row, column, hidden) {
    const { header, n } = this;
    if (row >= this.count) return 'Press play to watch it write.';
    const verb = header.given ? 'Given' : 'Writing';
    const doing = `${verb} ${quoted(header.tokens[row])}, step ${row + 1} of ${this.rows}`;
    if (!this.mapped) {
      const alone = 'This model has no attention: all it knows of the text is one vector.';
      return `${doing}: probability ${percent(header.sure[row], 1)}. ${alone}`;
    }
    if (hidden) return `${doing}: where it looks is covered until you have predicted it.`;
    let best = 0;
    for (let c = 1; c < n; c++) if (this.weight(row, c) > this.weight(row, best)) best = c;
    const most = `at ${quoted(header.source[best])}, character ${best + 1}: ${percent(this.weight(row, best), 1)}.`;
    if (column < 0) return `${doing}: it looks most ${most}`;
    const here = `at ${quoted(header.source[column])}, character ${column + 1} of ${n}`;
    return `${doing}: ${percent(this.weight(row, column), 1)} ${here}. Most ${most}`;
  }
}

export default mount(Alignment);
