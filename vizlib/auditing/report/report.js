// What a report does in the browser: the gallery, its view in the address, and parts of which one is shown at a time.
import { Gallery } from './gallery.js';

const home = document.getElementById('gallery');
const fromAddress = () => {
  try {
    return JSON.parse(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return {}; // no view in the address
  }
};
const data = JSON.parse(document.getElementById('data').textContent);
new Gallery(home, data, {
  state: fromAddress(),
  changed: state => history.replaceState(null, '', `#${encodeURIComponent(JSON.stringify(state))}`),
});

for (const tabs of document.querySelectorAll('.tabs')) {
  const parts = /** @type {HTMLElement[]} */ ([...tabs.children]);
  const row = document.createElement('div');
  row.className = 'choices';
  const show = chosen => {
    parts.forEach((part, place) => (part.hidden = place !== chosen));
    [...row.children].forEach((each, place) => each.setAttribute('aria-pressed', String(place === chosen)));
  };
  parts.forEach((part, place) => {
    const choice = document.createElement('button');
    choice.type = 'button';
    choice.textContent = part.dataset.tab;
    choice.addEventListener('click', () => show(place));
    row.append(choice);
    part.querySelector('h3.only').remove();
  });
  tabs.prepend(row);
  show(0);
}
