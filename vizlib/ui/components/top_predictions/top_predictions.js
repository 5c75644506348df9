import { decode } from '../_lib/decoder.js';
import { create } from '../_lib/dom.js';
import { percent } from '../_lib/formatting.js';
import { keep } from '../_lib/lifecycle.js';

function line({ index, label, probability }, { chosen, pickable }, pick) {
  const item = create('li');
  const row = create(pickable ? 'button' : 'div', 'line');
  const name = create('span', 'label', label);
  const bar = create('span', 'bar');
  const fill = create('i');
  name.title = label;
  fill.style.width = `${probability * 100}%`;
  bar.append(fill);
  row.append(name, create('span', 'share', percent(probability)), bar);
  if (pickable) {
    row.type = 'button';
    row.dataset.index = index;
    row.setAttribute('aria-pressed', index === chosen);
    row.classList.toggle('on', index === chosen);
    row.onclick = () => pick(index);
  }
  item.append(row);
  return item;
}

function show(parentElement, { data, setTriggerValue }) {
  const { header } = decode(data);
  const list = parentElement.querySelector('.list');
  const focused = list.getRootNode().activeElement?.dataset?.index;
  const label = 'Answers of the model';
  list.setAttribute('aria-label', header.pickable ? `${label}; choose one to explain it` : label);
  list.replaceChildren(...header.rows.map(row => line(row, header, index => setTriggerValue('pick', index))));
  if (focused !== undefined) list.querySelector(`[data-index="${focused}"]`)?.focus();
}

export default keep(home => home, show);
