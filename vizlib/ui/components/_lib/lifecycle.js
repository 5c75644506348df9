// Streamlit calls a component's default export again whenever what it is given changes, so what lives is kept by the
// element it lives in. Each call waits for an import of its own: an older one may come after a newer one. What
// Streamlit takes back at once, while the element is still there, was the older call, and what the newer one gave is
// shown again.

/**
 * What Streamlit hands over with a call.
 * @typedef {object} Call
 * @property {HTMLElement} parentElement
 * @property {Uint8Array} data
 * @property {(name: string, value: any) => void} setStateValue
 * @property {(name: string, value: any) => void} setTriggerValue
 */

/** @typedef {{ inside: Element | null, component: any, calls: Call[] }} Living */

/** @type {WeakMap<HTMLElement, Living>} */
const living = new WeakMap();

/**
 * A default export under which ``make(home)`` is called once for an element, ``take(component, call)`` with every call
 * and ``end(component)`` when the element is gone.
 * @param {(home: HTMLElement) => any} make
 * @param {(component: any, call: Call) => void} take
 * @param {(component: any) => void} [end]
 */
export function keep(make, take, end = () => {}) {
  return (/** @type {Call} */ call) => {
    const home = call.parentElement;
    const inside = home.firstElementChild;
    let current = living.get(home);
    // The same element may come back with fresh HTML inside after it was away while an answer was made.
    if (current && current.inside !== inside) {
      end(current.component);
      current = undefined;
    }
    if (!current) {
      current = { inside, component: make(home), calls: [] };
      living.set(home, current);
    }
    const entry = current;
    entry.calls.push(call);
    setTimeout(() => entry.calls.splice(0, entry.calls.length - 1)); // by then the older ones are taken back
    take(entry.component, call);
    return () => {
      if (home.isConnected && living.get(home) === entry) {
        const last = entry.calls.at(-1);
        entry.calls = entry.calls.filter(other => other !== call);
        const newest = entry.calls.at(-1);
        if (last === call && newest) take(entry.component, newest);
        return;
      }
      end(entry.component);
      if (living.get(home) === entry) living.delete(home);
    };
  };
}
