import { Component, mount } from '../_lib/component.js';
import { clamp } from '../_lib/grid.js';
import { keyOf, sectionsOf } from './sections.js';

const BLOCK = '[data-testid=stElementContainer]';
const FRAME = '[data-testid=stLayoutWrapper], [data-testid=stColumn], [data-testid=stHorizontalBlock]';
const HEADING = ':is(h2, h3)[id]:has([data-testid=stHeaderActionElements])'; // those that a link can name
const OPEN = '[data-baseweb=popover], [role=dialog], [role=listbox]'; // what Escape closes first
// What turns over beyond the last section of a page, and before its first: a step of the lesson.
const TURNS = { 1: '.st-key-learn-next button', '-1': '.st-key-learn-back button' };
// The page's own elements are Streamlit's; what is hidden keeps its place and its state.
const STYLE = `
html[data-vizlib-presenting] { font-size: clamp(18px, 1.5vw, 34px) !important; }
html[data-vizlib-presenting] :is([data-testid=stSidebar], [data-testid=stHeader], [data-vizlib-away]),
html[data-vizlib-presenting]:not([data-vizlib-controls])
  :is([class*='st-key-controls-'], [data-testid=stLayoutWrapper]:has(> [class*='st-key-controls-'])) {
  display: none !important;
}
html[data-vizlib-presenting] [data-testid=stMainBlockContainer] { padding: 0.8rem 1.5rem 3.5rem; max-width: none; }
html[data-vizlib-presenting] [data-testid=stMain] { left: 0; outline: none; }
`;

class Presenter extends Component {
  constructor(root) {
    super(root);
    this.trigger = (_name, _value) => {};
    this.current = 0;
    this.row = this.find('row');
    this.style = document.createElement('style');
    this.style.textContent = STYLE;
    document.head.append(this.style);
    this.find('back').onclick = () => this.turn(-1);
    this.find('next').onclick = () => this.turn(1);
    this.find('leave').onclick = () => this.leave();
    this.find('controls').onclick = () => this.showControls(!('vizlibControls' in this.html.dataset));
    this.stop = new AbortController();
    const { signal } = this.stop;
    // Before the page's parts: a clicker goes on wherever the focus is.
    document.addEventListener('keydown', event => this.pageKey(event), { signal, capture: true });
    document.addEventListener('keydown', event => this.key(event), { signal });
    window.addEventListener('hashchange', () => this.goToAddress(), { signal });
    this.watch = new MutationObserver(() => this.requestRefresh());
  }

  get html() {
    return document.documentElement;
  }

  get main() {
    return document.querySelector('[data-testid=stMain]');
  }

  load(header) {
    const other = header.page !== this.header?.page;
    this.header = header;
    if (other) this.current = 0;
    this.present(header.presenting);
  }

  present(presenting) {
    const begins = presenting && !this.presenting;
    this.presenting = presenting;
    this.html.toggleAttribute('data-vizlib-presenting', presenting);
    this.row.hidden = !presenting;
    this.watch.disconnect();
    if (!presenting) {
      this.showControls(false);
      for (const away of document.querySelectorAll('[data-vizlib-away]')) away.removeAttribute('data-vizlib-away');
      return;
    }
    this.watch.observe(this.main, { childList: true, subtree: true });
    this.refresh();
    if (begins) this.goToAddress();
  }

  leave() {
    this.present(false);
    this.trigger('leave', true);
  }

  showControls(shown) {
    this.html.toggleAttribute('data-vizlib-controls', shown);
    this.find('controls').setAttribute('aria-pressed', String(shown));
  }

  requestRefresh() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.presenting) this.refresh();
    });
  }

  // Every block of the page in its order, with the section that it lies in; a frame is away where all that it holds is.
  refresh() {
    const { main } = this;
    const elements = [...main.querySelectorAll(`${BLOCK}, ${FRAME}`)].filter(
      one => !one.matches('.st-key-app-presenter'),
    );
    this.headings = elements.flatMap(one => (one.matches(BLOCK) && one.querySelector(HEADING)) || []);
    this.wanted = this.awaited(this.wanted);
    this.current = clamp(this.current, 0, this.headings.length);
    const section = sectionsOf(elements.map(one => one.matches(BLOCK) && !!one.querySelector(HEADING)));
    const here = new Set(elements.filter((one, i) => one.matches(BLOCK) && section[i] === this.current));
    elements.forEach((one, i) => {
      const blocks = one.matches(BLOCK) ? [one] : [...one.querySelectorAll(BLOCK)];
      const shown = blocks.length ? blocks.some(block => here.has(block)) : section[i] === this.current;
      one.toggleAttribute('data-vizlib-away', !shown);
    });
    this.describe();
  }

  // A link may name a section that is not drawn yet; it is gone to once it is, unless a key came before.
  awaited(wanted) {
    const place = wanted ? this.headings.findIndex(heading => heading.id === wanted) : -1;
    if (place < 0) return wanted;
    this.current = place + 1;
    return undefined;
  }

  describe() {
    const { page } = this.header;
    const count = this.headings.length + 1;
    const title = this.current ? this.headings[this.current - 1].textContent : page;
    const place = count > 1 ? `${this.current + 1} / ${count} · ` : '';
    this.find('where').textContent = `${place}${title}`;
    this.find('back').disabled = !this.current && !document.querySelector(TURNS[-1]);
    this.find('next').disabled = this.current === count - 1 && !document.querySelector(TURNS[1]);
  }

  turn(step) {
    const next = this.current + step;
    if (next >= 0 && next <= this.headings.length) this.goTo(next);
    else document.querySelector(TURNS[step])?.click();
  }

  goTo(section) {
    this.current = section;
    this.wanted = undefined;
    this.refresh();
    this.main.scrollTop = 0;
    // The keys that scroll then scroll the section, and a screen reader begins at it.
    const heading = section ? this.headings[section - 1] : this.main;
    heading.tabIndex = -1;
    heading.style.outline = 'none';
    heading.focus({ preventScroll: true });
    const { pathname, search } = window.location;
    window.history.replaceState(window.history.state, '', pathname + search + (section ? `#${heading.id}` : ''));
  }

  goToAddress() {
    if (!this.presenting || !window.location.hash) return;
    this.wanted = decodeURIComponent(window.location.hash.slice(1));
    this.refresh();
  }

  pageKey(event) {
    const step = this.presenting && { PageDown: 1, PageUp: -1 }[event.key];
    if (step) this.take(event, step);
  }

  key(event) {
    if (!this.presenting) return;
    const what = keyOf(event);
    if (what === 'leave') {
      if (!document.querySelector(OPEN) && !document.fullscreenElement) this.leave();
    } else if (what) this.take(event, what);
  }

  take(event, step) {
    event.preventDefault();
    event.stopPropagation();
    this.turn(step);
  }

  destroy() {
    this.stop.abort();
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
    this.style.remove();
    // Another may have begun in its place.
    if (!document.querySelector('.st-key-app-presenter')) this.present(false);
  }
}

export default mount(Presenter, (presenter, { setTriggerValue }) => {
  presenter.trigger = setTriggerValue;
});
