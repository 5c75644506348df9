// Streamlit calls a component's default export again whenever what it is given changes, so what lives is kept by the element it lives in.
// Each call waits for an import of its own: an older one may come after a newer one. What Streamlit takes back at once, while the element
// is still there, was the older call, and what the newer one gave is shown again.
const live = new WeakMap();

function keep(make, take, end = () => {}) {
  return args => {
    const home = args.parentElement;
    const inside = home.firstElementChild;
    let here = live.get(home);
    // The same element may come back with fresh HTML inside after it was away while an answer was made.
    if (here && here.inside !== inside) {
      end(here.one);
      here = null;
    }
    if (!here) {
      here = { inside, one: make(home), calls: [] };
      live.set(home, here);
    }
    const mine = here;
    mine.calls.push(args);
    setTimeout(() => mine.calls.splice(0, mine.calls.length - 1)); // by then the older ones are taken back
    take(mine.one, args);
    return () => {
      if (home.isConnected && live.get(home) === mine) {
        const last = mine.calls.at(-1);
        mine.calls = mine.calls.filter(call => call !== args);
        if (last === args && mine.calls.length) take(mine.one, mine.calls.at(-1));
        return;
      }
      end(mine.one);
      if (live.get(home) === mine) live.delete(home);
    };
  };
}
