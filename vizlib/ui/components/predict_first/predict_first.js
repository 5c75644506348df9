const FLOOR = 0.002; // no bar falls below this height, so that a guess never calls something impossible
const shown = char => (char === ' ' ? '␣' : char);
const share = value => (value > 0 && value < 0.0005 ? '< 0.1' : (value * 100).toFixed(1)) + ' %';

// Bits by which p is worse described with q than with itself; mirrors divergence in vizlib/ui/seq2seq_predict.py.
const divergence = (p, q) => p.reduce((sum, one, i) => sum + (one > 0 ? one * Math.log2(one / q[i]) : 0), 0);

class Predict {
  constructor(root) {
    this.root = root;
    this.find = name => root.querySelector('.' + name);
    this.columns = this.find('columns');
    this.find('even').onclick = () => {
      this.heights.fill(0.25);
      this.draw();
    };
    this.find('reveal').onclick = () => {
      this.open = true;
      this.draw();
      this.tell('view', { revealed: this.header.identity });
    };
    // Dragging paints: the bar under the pointer takes the pointer's height, and the next one when it gets there.
    this.columns.onpointerdown = e => {
      if (this.open) return;
      e.preventDefault();
      this.columns.setPointerCapture(e.pointerId);
      this.painting = true;
      this.drag(e);
    };
    this.columns.onpointermove = e => {
      if (this.painting) this.drag(e);
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
        const one = el('div', 'one');
        const bar = el('div', 'bar');
        bar.append(el('i'), el('u'), el('span'));
        one.append(el('code', '', shown(char)), bar);
        bar.tabIndex = 0;
        bar.setAttribute('role', 'slider');
        bar.setAttribute('aria-label', `Your guess for character ${j + 1}, ${shown(char)}`);
        bar.setAttribute('aria-valuemin', 0);
        bar.setAttribute('aria-valuemax', 100);
        bar.onkeydown = e => this.key(j, e);
        return one;
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
      this.bars[Math.max(0, Math.min(this.bars.length - 1, j + next))].lastChild.focus();
    }
    if (!way || this.open) return;
    event.preventDefault();
    event.stopPropagation();
    this.heights[j] = Math.max(FLOOR, Math.min(1, this.heights[j] + way));
    this.draw(j);
  }

  drag(event) {
    for (const [j, one] of this.bars.entries()) {
      const box = one.lastChild.getBoundingClientRect();
      if (event.clientX < box.left || event.clientX > box.right) continue;
      this.heights[j] = Math.max(FLOOR, Math.min(1, (box.bottom - event.clientY) / box.height));
      this.draw(j);
    }
  }

  guess() {
    const total = this.heights.reduce((a, b) => a + b, 0);
    return this.heights.map(one => one / total);
  }

  draw(at = -1) {
    const { header, open, truth } = this;
    const guess = this.guess();
    const n = guess.length;
    const highest = Math.max(...guess, ...(open ? truth : [0]));
    const ask = this.find('ask');
    ask.replaceChildren(
      'It has written ',
      el('code', '', header.written || 'nothing'),
      header.written ? '' : ' yet',
      ' and writes ',
      el('code', '', shown(header.token)),
      ' next. Where does it look? Drag the bars: they always share out 100 %.',
    );
    this.root.classList.toggle('open', open);
    this.bars.forEach((one, j) => {
      const [bar, real, text] = one.lastChild.children;
      bar.style.height = `${(open ? guess[j] / highest : this.heights[j]) * 100}%`;
      real.style.height = `${(truth[j] / highest) * 100}%`;
      text.textContent =
        n <= 26 && (open ? truth[j] : guess[j]) >= 0.02 ? `${((open ? truth[j] : guess[j]) * 100).toFixed(0)}%` : '';
      one.lastChild.setAttribute('aria-valuenow', (guess[j] * 100).toFixed(1));
      one.lastChild.setAttribute(
        'aria-valuetext',
        open ? `guess ${share(guess[j])}, truth ${share(truth[j])}` : share(guess[j]),
      );
    });
    this.find('reveal').disabled = this.find('even').disabled = open;
    const out = this.find('reading');
    if (!open) {
      out.textContent =
        at >= 0
          ? `“${shown(header.source[at])}”, character ${at + 1}: ${share(guess[at])} of your attention.`
          : 'Also with the keyboard: Tab or the arrows to a bar, up and down to change it.';
    } else {
      const bits = divergence(truth, guess);
      const even = divergence(
        truth,
        guess.map(() => 1 / n),
      );
      const best = truth.indexOf(Math.max(...truth));
      const mine = guess.indexOf(Math.max(...guess));
      out.replaceChildren(
        el('span', 'guess', 'Your guess'),
        ' and ',
        el('span', 'truth', 'the truth'),
        `: KL(truth ‖ guess) = ${bits.toFixed(2)} bits; an even spread would have been ${even.toFixed(2)}. `,
        `It looks most at “${shown(header.source[best])}”, character ${best + 1} (${share(truth[best])}, you gave it ${share(guess[best])}). `,
        mine === best
          ? 'That is where you put most, too.'
          : `You put most on “${shown(header.source[mine])}”, character ${mine + 1}, which gets ${share(truth[mine])}.`,
      );
      this.root.dataset.bits = bits.toFixed(4);
    }
    this.root.dataset.drawn = `${header.identity} ${open ? 'open' : 'closed'}`;
  }
}

export default mount(Predict);
