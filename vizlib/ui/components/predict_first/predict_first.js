import { Component, mount } from '../_lib/component.js';
import { create } from '../_lib/dom.js';
import { briefPercent, percent, visible } from '../_lib/formatting.js';
import { clamp } from '../_lib/grid.js';

const FLOOR = 0.002; // no bar falls below this height, so that a guess never calls something impossible

// Bits by which p is worse described with q than with itself; mirrors divergence in
// vizlib/ui/pages/seq2seq/predict_first.py.
function divergence(p, q) {
  return Math.max(
    0, // which it is, but for rounding
    p.reduce((sum, share, i) => sum + (share > 0 ? share * Math.log2(share / q[i]) : 0), 0),
  );
}

class PredictFirst extends Component {
  constructor(root) {
    super(root);
    this.columns = this.find('columns');
    this.find('even').onclick = () => {
      this.heights.fill(0.25);
      this.draw();
    };
    this.find('reveal').onclick = () => {
      this.open = true;
      this.draw();
      this.report('view', { revealed: this.header.identity });
    };
    // Dragging paints: the bar under the pointer takes the pointer's height, and the next one when it gets there.
    this.columns.onpointerdown = event => {
      if (this.open) return;
      event.preventDefault();
      this.columns.setPointerCapture(event.pointerId);
      this.painting = true;
      this.drag(event);
    };
    this.columns.onpointermove = event => {
      if (this.painting) this.drag(event);
    };
    this.columns.onpointerup = this.columns.onpointercancel = () => {
      this.painting = false;
    };
  }

  load(header, arrays) {
    const fresh = header.identity !== this.header?.identity;
    this.header = header;
    this.truth = [...arrays.weights];
    if (fresh) {
      this.heights = header.source.map(() => 0.25);
      this.painting = false;
      this.bars = header.source.map((char, j) => {
        const column = create('div', 'one');
        const bar = create('div', 'bar');
        bar.append(create('i'), create('u'), create('span'));
        column.append(create('code', '', visible(char)), bar);
        bar.tabIndex = 0;
        bar.setAttribute('role', 'slider');
        bar.setAttribute('aria-label', `Your guess for character ${j + 1}, ${visible(char)}`);
        bar.setAttribute('aria-valuemin', 0);
        bar.setAttribute('aria-valuemax', 100);
        bar.onkeydown = event => this.key(j, event);
        return column;
      });
      this.columns.replaceChildren(...this.bars);
    }
    this.open = header.revealed;
    this.draw();
  }

  key(j, event) {
    const way = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.25, PageDown: -0.25 }[event.key];
    const next = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (next) {
      event.preventDefault();
      this.bars[clamp(j + next, 0, this.bars.length - 1)].lastChild.focus();
    }
    if (!way || this.open) return;
    event.preventDefault();
    event.stopPropagation();
    this.heights[j] = clamp(this.heights[j] + way, FLOOR, 1);
    this.draw(j);
  }

  drag(event) {
    for (const [j, column] of this.bars.entries()) {
      const box = column.lastChild.getBoundingClientRect();
      if (event.clientX < box.left || event.clientX > box.right) continue;
      this.heights[j] = clamp((box.bottom - event.clientY) / box.height, FLOOR, 1);
      this.draw(j);
    }
  }

  guess() {
    const total = this.heights.reduce((a, b) => a + b, 0);
    return this.heights.map(height => height / total);
  }

  draw(at = -1) {
    const { header, open, truth } = this;
    const guess = this.guess();
    const n = guess.length;
    const highest = Math.max(...guess, ...(open ? truth : [0]));
    const ask = this.find('ask');
    ask.replaceChildren(
      'It has written ',
      create('code', '', header.written || 'nothing'),
      header.written ? '' : ' yet',
      ' and writes ',
      create('code', '', visible(header.token)),
      open
        ? ' next. Where did you expect it to look, and where does it?'
        : ' next. Where does it look? Drag the bars: they always share out 100 %.',
    );
    this.root.classList.toggle('open', open);
    this.bars.forEach((column, j) => {
      const [bar, real, text] = column.lastChild.children;
      bar.style.height = `${(open ? guess[j] / highest : this.heights[j]) * 100}%`;
      real.style.height = `${(truth[j] / highest) * 100}%`;
      text.textContent =
        n <= 26 && (open ? truth[j] : guess[j]) >= 0.02 ? briefPercent(open ? truth[j] : guess[j]) : '';
      column.lastChild.setAttribute('aria-valuenow', (guess[j] * 100).toFixed(1));
      column.lastChild.setAttribute(
        'aria-valuetext',
        open ? `guess ${percent(guess[j], 1)}, truth ${percent(truth[j], 1)}` : percent(guess[j], 1),
      );
    });
    this.find('reveal').disabled = this.find('even').disabled = open;
    this.find('reading').replaceChildren(...(open ? this.verdict(guess) : [this.instruction(at, guess)]));
    this.root.dataset.drawn = `${header.identity} ${open ? 'open' : 'closed'}`;
  }

  instruction(at, guess) {
    if (at < 0) return 'Also with the keyboard: Tab or the arrows to a bar, up and down to change it.';
    return `“${visible(this.header.source[at])}”, character ${at + 1}: ${percent(guess[at], 1)} of your attention.`;
  }

  // How far the guess was from the truth, in words.
  verdict(guess) {
    const { truth } = this;
    const bits = divergence(truth, guess);
    const even = divergence(truth, Array(guess.length).fill(1 / guess.length));
    const best = truth.indexOf(Math.max(...truth));
    const high = Math.max(...guess) - 1e-9;
    const guessed = guess.findIndex(share => share > high);
    const tied = guess.filter(share => share > high).length;
    const name = j => `“${visible(this.header.source[j])}”, character ${j + 1}`;
    const shares = `${percent(truth[best], 1)}, you gave it ${percent(guess[best], 1)}`;
    const alone = `You put most on ${name(guessed)}, which gets ${percent(truth[guessed], 1)}.`;
    const missed = tied === 1 ? alone : `You put most on ${tied} others, as much on each.`;
    const hit = tied === 1 ? 'That is where you put most, too.' : `You put as much on ${tied - 1} more.`;
    const met = guess[best] > high ? hit : missed;
    this.root.dataset.bits = bits.toFixed(4);
    return [
      create('span', 'guess', 'Your guess'),
      ' and ',
      create('span', 'truth', 'the truth'),
      `: KL(truth ‖ guess) = ${bits.toFixed(2)} bits; an even spread would have been ${even.toFixed(2)}. `,
      `It looks most at ${name(best)} (${shares}). `,
      tied === guess.length ? 'You put as much on each.' : met,
    ];
  }
}

export default mount(PredictFirst);
