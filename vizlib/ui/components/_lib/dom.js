const SVG = 'http://www.w3.org/2000/svg';

/**
 * Elements by their class: what a component's HTML gives it to work with.
 * @param {ParentNode} root
 * @returns {(name: string) => any}
 */
export function finder(root) {
  return name => root.querySelector(`.${name}`);
}

/**
 * An element with a class and a text. What it is depends on the tag, and who makes it knows.
 * @param {string} tag
 * @param {string} [name]
 * @param {string | number} [text]
 * @returns {any}
 */
export function create(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = String(text);
  return element;
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {string | number} [text]
 */
export function createSvg(tag, attributes = {}, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = String(text);
  return element;
}

/**
 * A row of buttons of which one is on; ``choose(name)`` is called when another is taken. Returned is what turns another
 * on from outside.
 * @param {HTMLElement} root
 * @param {any[][]} items [name, text, title] of each; the title may be missing
 * @param {string | number} chosen
 * @param {string} label
 * @param {(name: any) => void} choose
 */
export function choices(root, items, chosen, label, choose) {
  root.classList.add('choices');
  root.setAttribute('role', 'radiogroup');
  root.setAttribute('aria-label', label);
  const buttons = items.map(([name, text, title]) => {
    const button = create('button', '', text);
    button.type = 'button';
    button.dataset.name = String(name);
    if (title) button.title = title;
    button.setAttribute('role', 'radio');
    button.onclick = () => {
      turnOn(name);
      choose(name);
    };
    return button;
  });
  const turnOn = (/** @type {string | number} */ name) => {
    for (const button of buttons) button.setAttribute('aria-checked', String(button.dataset.name === String(name)));
  };
  root.replaceChildren(...buttons);
  turnOn(chosen);
  return turnOn;
}

/**
 * A text in which _{...} is set lower and ^{...} higher: formulas need no more than that here.
 * @param {HTMLElement} root
 * @param {string} text
 */
export function typeset(root, text) {
  const parts = text.split(/([_^]\{[^}]*\})/).filter(Boolean);
  const set = (/** @type {string} */ part) => create(part[0] === '_' ? 'sub' : 'sup', '', part.slice(2, -1));
  root.replaceChildren(...parts.map(part => (/^[_^]\{/.test(part) ? set(part) : document.createTextNode(part))));
}

/**
 * A formula, set as ``typeset`` does: parts are texts, or [text, light] that call ``light(true)`` under the pointer and
 * ``light(false)`` after.
 * @param {HTMLElement} root
 * @param {any[]} parts
 */
export function formula(root, parts) {
  root.classList.add('formula');
  const terms = parts.map(part => {
    const [text, light] = typeof part === 'string' ? [part] : part;
    const term = create('span', light ? 'term' : '');
    typeset(term, text);
    if (!light) return term;
    term.tabIndex = 0;
    for (const kind of ['pointerenter', 'focus']) term.addEventListener(kind, () => light(true));
    for (const kind of ['pointerleave', 'blur']) term.addEventListener(kind, () => light(false));
    return term;
  });
  root.replaceChildren(...terms);
}

/**
 * The address of a JPEG that came as bytes; who asks for it gives it back with ``URL.revokeObjectURL``.
 * @param {Uint8Array<any>} jpeg
 */
export function photographUrl(jpeg) {
  return URL.createObjectURL(new Blob([jpeg], { type: 'image/jpeg' }));
}

/**
 * An SVG rectangle around a box [top, left, bottom, right].
 * @param {number[]} box
 * @param {string} kind
 */
export function rectangle([top, left, bottom, right], kind) {
  return `<rect class="${kind}" x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"></rect>`;
}

/**
 * The same twice, a light line on a dark one, so that it is seen on any picture.
 * @param {number[]} box
 */
export function outline(box) {
  return rectangle(box, 'halo') + rectangle(box, 'line');
}
