const percent = share => (share > 0 && share < 0.001 ? 'under 0.1' : (share * 100).toFixed(share < 0.1 ? 1 : 0)) + ' %';

function line(row, { chosen, pickable }, pick) {
  const item = document.createElement('li');
  const element = document.createElement(pickable ? 'button' : 'div');
  element.className = 'line';
  const part = (name, text) => {
    const span = document.createElement('span');
    span.className = name;
    span.textContent = text;
    element.append(span);
    return span;
  };
  part('label', row.label).title = row.label;
  part('share', percent(row.probability));
  const fill = document.createElement('i');
  fill.style.width = `${row.probability * 100}%`;
  part('bar', '').append(fill);
  if (pickable) {
    element.type = 'button';
    element.dataset.index = row.index;
    element.setAttribute('aria-pressed', row.index === chosen);
    element.classList.toggle('on', row.index === chosen);
    element.onclick = () => pick(row.index);
  }
  item.append(element);
  return item;
}

function show(parentElement, { data: bytes, setTriggerValue }) {
  const data = JSON.parse(new TextDecoder().decode(bytes));
  const list = parentElement.querySelector('.list');
  const focused = list.getRootNode().activeElement?.dataset?.index;
  list.setAttribute(
    'aria-label',
    data.pickable ? 'Answers of the model; choose one to explain it' : 'Answers of the model',
  );
  list.replaceChildren(...data.rows.map(row => line(row, data, index => setTriggerValue('pick', index))));
  if (focused !== undefined) list.querySelector(`[data-index="${focused}"]`)?.focus();
}

export default keep(home => home, show);
