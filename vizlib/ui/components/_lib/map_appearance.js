/** How the maps of a page look, and the peak of each for a common scale. One for all components of a page. */
const CHANGED = 'vizlib:appearance';

/**
 * @typedef {{ opacity: number, colormap: string, scale: string }} Appearance
 * @typedef {{ appearance: Appearance, peaks: Map<object, { peak: number, unit: string }>, canvas?: any }} SharedState
 */

/** @type {any} */
const everywhere = globalThis;
everywhere.vizlib ??= { appearance: { opacity: 0.6, colormap: 'viridis', scale: 'own' }, peaks: new Map() };

/** @type {SharedState} */
export const page = everywhere.vizlib;

/** @param {Partial<Appearance>} change */
export function changeAppearance(change) {
  page.appearance = { ...page.appearance, ...change };
  announceAppearance();
}

/** Every map of the page draws itself again: how they look has changed, or which maps share a scale. */
export function announceAppearance() {
  document.dispatchEvent(new CustomEvent(CHANGED));
}

/**
 * @param {() => void} draw
 * @param {AbortSignal} signal
 */
export function onAppearance(draw, signal) {
  document.addEventListener(CHANGED, draw, { signal });
}
