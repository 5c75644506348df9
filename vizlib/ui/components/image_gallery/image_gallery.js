import { decode } from '../_lib/decoder.js';
import { create } from '../_lib/dom.js';
import { keep } from '../_lib/lifecycle.js';

function choice(item, chosen, pick) {
  const button = create('button', 'pick');
  const image = create('img');
  button.type = 'button';
  button.dataset.name = item.name;
  button.title = item.credit ? `${item.title}: ${item.credit}` : item.title;
  button.setAttribute('aria-pressed', item.name === chosen);
  button.classList.toggle('on', item.name === chosen);
  image.src = item.source;
  image.alt = '';
  button.append(image, create('span', '', item.title));
  button.onclick = () => pick(item.name);
  return button;
}

function show(parentElement, { data, setTriggerValue }) {
  const { items, chosen } = decode(data).header;
  const row = parentElement.querySelector('.row');
  const focused = row.getRootNode().activeElement?.dataset?.name;
  row.replaceChildren(...items.map(item => choice(item, chosen, name => setTriggerValue('pick', name))));
  if (focused !== undefined) [...row.children].find(button => button.dataset.name === focused)?.focus();
}

export default keep(home => home, show);
