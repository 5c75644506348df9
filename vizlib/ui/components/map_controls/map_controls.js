const page = (globalThis.vizlib ??= { look: { opacity: 0.6, colormap: 'viridis', scale: 'own' }, peaks: new Map() });
const REST = 350; // milliseconds without a change before the page hears of it

class Look {
  constructor(root) {
    this.find = name => root.querySelector('.' + name);
    this.radios = [...root.querySelectorAll('input[type=radio]')];
    this.opacity = this.find('opacity');
    this.colormap = this.find('colormap');
    this.opacity.addEventListener('input', () => this.change());
    this.colormap.addEventListener('change', () => this.change());
    for (const radio of this.radios) radio.addEventListener('change', () => this.change());
  }

  load({ look, colormaps, several }) {
    if (!this.colormaps) {
      this.colormaps = colormaps;
      for (const name of colormaps) this.colormap.add(new Option(name, name));
    }
    this.find('common').style.display = several ? '' : 'none';
    const given = JSON.stringify(look);
    if (given === this.given) return; // what the page repeats must not undo what the hand is doing
    this.given = given;
    if (this.timer) return;
    page.look = { ...look };
    this.show();
  }

  show() {
    const { opacity, colormap, scale } = page.look;
    this.opacity.value = Math.round(opacity * 100);
    this.colormap.value = colormap;
    for (const radio of this.radios) radio.checked = radio.value === scale;
    this.find('shown').textContent = `${Math.round(opacity * 100)} %`;
    document.dispatchEvent(new CustomEvent('vizlib:look'));
  }

  change() {
    const scale = this.radios.find(radio => radio.checked)?.value ?? 'own';
    page.look = { opacity: this.opacity.value / 100, colormap: this.colormap.value, scale };
    this.show();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.tell('look', page.look);
    }, REST);
  }
}

export default keep(
  home => new Look(home),
  (look, { data, setStateValue }) => {
    look.tell = setStateValue;
    look.load(JSON.parse(new TextDecoder().decode(data)));
  },
  look => clearTimeout(look.timer),
);
