const STEPS = { ArrowRight: 1, ArrowLeft: -1 };
// What has arrow keys of its own.
const TAKES_ARROWS =
  'input, textarea, select, [contenteditable=true], ' +
  ':is([role=slider], [role=radio], [role=radiogroup], [role=tab], [role=option], [role=combobox], [role=application])';

/**
 * The section of each element of a page in its order: how many headings there are up to it, its own among them.
 * @param {boolean[]} headings whether an element is one
 */
export function sectionsOf(headings) {
  let count = 0;
  return headings.map(heading => (count += heading ? 1 : 0));
}

/**
 * What a key does while a page is presented: a step to the section after (1) or before (-1), ``'leave'``, or nothing
 * (0), where a part of the page has taken it or needs it.
 * @param {KeyboardEvent} event
 */
export function keyOf(event) {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return 0;
  if (event.key === 'Escape') return 'leave';
  const step = STEPS[event.key] ?? 0;
  return step && event.composedPath().some((/** @type {any} */ one) => one.matches?.(TAKES_ARROWS)) ? 0 : step;
}
