import { create } from './dom.js';
import { percent, scaleEnd } from './formatting.js';
import { extent, paintRamp } from './grid.js';
import { shareAbove, upperEnd } from './map_scale.js';

/** The bar of a map of shares: its colours, where they end, what lies above, and the switch to the highest value. */
export class MapBar {
  /**
   * @param {HTMLElement} root an empty element
   * @param {() => void} redraw called when the switch is moved
   * @param {MapBar | null} [leader] the bar whose switch this one follows; without one it has its own
   */
  constructor(root, redraw, leader = null) {
    this.root = root;
    root.classList.add('map-bar');
    this.ramp = create('canvas');
    this.high = create('span', 'high');
    this.what = create('span', 'what');
    const ticks = create('div', 'ticks');
    ticks.append(create('span', 'low', '0'), this.what, this.high);
    root.replaceChildren(this.ramp, ticks);
    if (leader) this.toHighest = leader.toHighest;
    else {
      const label = create('label');
      this.toHighest = create('input');
      this.toHighest.type = 'checkbox';
      this.toHighest.onchange = redraw;
      label.append(this.toHighest, ' to the highest value');
      root.append(label);
    }
  }

  /**
   * Where the colours of a map from zero end.
   * @param {ArrayLike<number>} values of the cells that are drawn
   * @param {number | null} even what each cell would have if all had the same
   */
  end(values, even) {
    return this.toHighest.checked ? Math.max(0, extent(Array.from(values))[1]) : upperEnd(values, even);
  }

  /**
   * Say what the colours mean.
   * @param {Uint32Array} colours
   * @param {ArrayLike<number>} values of the cells that are drawn
   * @param {number} end
   * @param {string} what
   */
  show(colours, values, end, what) {
    const above = shareAbove(values, end);
    paintRamp(this.ramp, colours);
    this.high.textContent = scaleEnd(percent(end), above > 0);
    this.what.textContent = above > 0 ? `${what}; ${percent(above)} of the cells are above` : what;
    this.root.dataset.end = String(end);
  }
}
