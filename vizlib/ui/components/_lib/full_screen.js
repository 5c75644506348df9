import { create } from './dom.js';

const EDGE = 12; // pixels that stay free around what fills the screen
const ROWS = '.tools, .bar, .ribbon, .tables, .sums'; // what has no room of its own for the button
const STYLE = `
.full-screen {
  all: unset; position: absolute; top: 0; right: 0; z-index: 5; box-sizing: border-box; cursor: pointer;
  width: 1.75rem; height: 1.75rem; display: grid; place-items: center;
  color: var(--st-text-color); background: var(--st-background-color);
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius);
}
@media (max-width: 600px) {
  /* Below all else, where what it would lie on begins at the edge. */
  .full-screen:not(:fullscreen > *) { position: static; margin: 0.3rem 0 0 auto; }
}
.beside-full-screen.beside-full-screen { margin-right: 2.25rem; }
@media (max-width: 600px) {
  .beside-full-screen.beside-full-screen:not(:fullscreen > *) { margin-right: 0; }
}
.full-screen:hover { background: var(--st-secondary-background-color); }
.full-screen:focus-visible { outline: 2px solid var(--st-primary-color); }
:fullscreen { box-sizing: border-box; overflow: auto; }
:fullscreen { background: var(--st-background-color); color: var(--st-text-color); }
`;
const CORNERS = { in: 'M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4', out: 'M6 2v4H2M14 6h-4V2M10 14v-4h4M2 10h4v4' };

/**
 * How far something of this size is magnified to fill a screen, at least to its own size, and what then stays free
 * beside and above it in its own pixels.
 * @param {number[]} size height and width
 * @param {number[]} screen
 */
export function magnified(size, screen) {
  const zoom = Math.max(1, Math.min(...size.map((side, axis) => (screen[axis] - 2 * EDGE) / side)));
  const [above, beside] = size.map((side, axis) => Math.max(EDGE / zoom, (screen[axis] / zoom - side) / 2));
  return { zoom, above, beside };
}

/**
 * A button in the corner of an element that has it fill the screen, laid out as it was and magnified, so that all that
 * is pointed at stays what it was. Returned is what takes the button away.
 * @param {HTMLElement} element
 */
export function offerFullScreen(element) {
  const button = create('button', 'full-screen');
  const style = create('style', '', STYLE);
  const stop = new AbortController();
  const { signal } = stop;
  let size = [1, 1];
  button.type = 'button';

  const isFull = () => element.matches(':fullscreen');
  const fit = () => {
    const { zoom, above, beside } = magnified(size, [window.innerHeight, window.innerWidth]);
    // A border, which the widths that parts of the element ask for leave out.
    const frame = { zoom, border: 'solid transparent', borderWidth: `${above}px ${beside}px` };
    Object.assign(element.style, isFull() ? frame : { zoom: '', border: '' });
    const name = isFull() ? 'Leave full screen' : 'Full screen';
    button.setAttribute('aria-label', name);
    button.title = name;
    const path = `<path d="${CORNERS[isFull() ? 'out' : 'in']}" fill="none" stroke="currentColor" stroke-width="1.5"/>`;
    button.innerHTML = `<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">${path}</svg>`;
  };

  button.onclick = () => {
    if (isFull()) {
      document.exitFullscreen();
      return;
    }
    size = [element.offsetHeight, element.offsetWidth];
    element.requestFullscreen();
  };
  element.addEventListener('fullscreenchange', fit, { signal });
  window.addEventListener('resize', () => isFull() && fit(), { signal });
  element.style.position = 'relative';
  const first = element.firstElementChild;
  if (first?.matches(ROWS)) first.classList.add('beside-full-screen'); // a picture has the button in its corner
  element.append(style, button);
  fit();
  return () => {
    stop.abort();
    first?.classList.remove('beside-full-screen');
    style.remove();
    button.remove();
  };
}
