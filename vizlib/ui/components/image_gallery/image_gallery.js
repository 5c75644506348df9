function show(parentElement, { data: bytes, setTriggerValue }) {
  const data = JSON.parse(new TextDecoder().decode(bytes));
  const row = parentElement.querySelector('.row');
  const focused = row.getRootNode().activeElement?.dataset?.name;
  row.replaceChildren(
    ...data.items.map(item => {
      const button = document.createElement('button');
      const image = document.createElement('img');
      const title = document.createElement('span');
      button.type = 'button';
      button.className = 'pick';
      button.dataset.name = item.name;
      button.title = item.title;
      button.setAttribute('aria-pressed', item.name === data.chosen);
      button.classList.toggle('on', item.name === data.chosen);
      image.src = item.source;
      image.alt = '';
      title.textContent = item.title;
      button.append(image, title);
      button.onclick = () => setTriggerValue('pick', item.name);
      return button;
    }),
  );
  if (focused !== undefined) [...row.children].find(one => one.dataset.name === focused)?.focus();
}

export default keep(home => home, show);
