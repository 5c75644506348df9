import { Component, mount } from '../_lib/component.js';
import { clamp } from '../_lib/grid.js';

const LINK = 'a[href^="#word-"]';
const GAP = 6; // pixels between a word and its meaning
const EDGE = 12;
const STYLE = `
${LINK} { color: inherit !important; text-decoration: underline dotted !important; }
${LINK} { text-underline-offset: 0.2em; cursor: help; }
`;

class WordNotes extends Component {
  constructor(root) {
    super(root);
    this.note = this.find('note');
    this.style = document.createElement('style');
    this.style.textContent = STYLE;
    document.head.append(this.style);
    this.stop = new AbortController();
    const { signal } = this.stop;
    // Before the page's own: the address stays what it is.
    document.addEventListener('click', event => this.click(event), { signal, capture: true });
    // What is fixed on the screen does not go with the word.
    document.addEventListener('scroll', () => this.note.hidePopover(), { signal, capture: true });
    this.note.addEventListener('beforetoggle', event => this.toggle(event), { signal });
  }

  click(event) {
    const link = event.target.closest?.(LINK);
    const meaning = link && this.header.meanings[link.getAttribute('href').slice(1)];
    if (!meaning) return;
    event.preventDefault();
    event.stopPropagation();
    this.show(link, meaning);
  }

  show(link, [word, meaning, role]) {
    this.find('word').textContent = `${word}:`;
    this.find('word').className = role ? `word role-${role}` : 'word';
    this.find('meaning').textContent = meaning;
    this.link = link;
    this.place = this.alike(link).indexOf(link);
    this.note.hidePopover();
    this.note.showPopover();
    const [first] = link.getClientRects();
    const { offsetWidth: width, offsetHeight: height } = this.note;
    const below = first.bottom + GAP;
    const fits = below + height + EDGE <= window.innerHeight;
    this.note.style.top = `${fits ? below : Math.max(EDGE, first.top - GAP - height)}px`;
    this.note.style.left = `${clamp(first.left, EDGE, Math.max(EDGE, window.innerWidth - width - EDGE))}px`;
    this.note.focus({ preventScroll: true }); // a screen reader says it; Escape goes back to the word
  }

  // The links to the same word, down the page.
  alike(link) {
    return [...document.querySelectorAll(LINK)].filter(one => one.getAttribute('href') === link.getAttribute('href'));
  }

  // Before the note goes: once it is gone, nothing tells any more that the focus was in it.
  toggle(event) {
    const open = event.newState === 'open';
    // A run that came to its end meanwhile may have drawn the word anew.
    if (!this.link.isConnected) {
      const alike = this.alike(this.link);
      this.link = alike[this.place] ?? alike[0] ?? this.link;
    }
    this.link.setAttribute('aria-expanded', String(open));
    if (!open && this.root.getRootNode().activeElement === this.note) this.link.focus({ preventScroll: true });
  }

  destroy() {
    this.stop.abort();
    this.style.remove();
  }
}

export default mount(WordNotes);
