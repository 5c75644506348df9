import { Component, mount } from '../_lib/component.js';
import { changeAppearance, page } from '../_lib/map_appearance.js';

class MapControls extends Component {
  constructor(root) {
    super(root);
    this.scales = [...root.querySelectorAll('input[type=radio]')];
    this.opacity = this.find('opacity');
    this.colormap = this.find('colormap');
    this.opacity.addEventListener('input', () => this.change());
    for (const input of [this.colormap, ...this.scales]) input.addEventListener('change', () => this.change());
  }

  load({ appearance, colormaps, several }) {
    if (!this.colormaps) {
      this.colormaps = colormaps;
      for (const name of colormaps) this.colormap.add(new Option(name, name));
    }
    this.find('common').style.display = several ? '' : 'none';
    const given = JSON.stringify(appearance);
    if (given === this.given) return; // what the page repeats must not undo what the hand is doing
    this.given = given;
    if (!this.waiting) this.show(appearance);
  }

  show(appearance) {
    const { opacity, colormap, scale } = appearance;
    this.opacity.value = Math.round(opacity * 100);
    this.colormap.value = colormap;
    for (const radio of this.scales) radio.checked = radio.value === scale;
    this.find('shown').textContent = `${Math.round(opacity * 100)} %`;
    changeAppearance({ opacity, colormap, scale });
  }

  change() {
    const scale = this.scales.find(radio => radio.checked)?.value ?? 'own';
    this.show({ opacity: this.opacity.value / 100, colormap: this.colormap.value, scale });
    this.report('appearance', page.appearance);
  }
}

export default mount(MapControls);
