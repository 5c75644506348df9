/** Where the colours of a map end: vizlib/figures/map_scale.py for maps that are made in the browser. */

const QUANTILE = 0.99;
const LEAST = 2;

/**
 * The value at which the colours end: the 99 % quantile of the magnitudes, at least twice the ``even`` share where
 * there is one. Where nearly all values are zero it is the largest one.
 * @param {ArrayLike<number>} values
 * @param {number | null} [even] what each cell would have if all had the same
 */
export function upperEnd(values, even = null) {
  if (!values.length) return 0;
  const magnitudes = Float64Array.from(values, Math.abs).sort();
  const place = QUANTILE * (magnitudes.length - 1);
  const first = Math.floor(place);
  const next = magnitudes[Math.min(first + 1, magnitudes.length - 1)];
  const quantile = magnitudes[first] + (next - magnitudes[first]) * (place - first);
  const top = quantile > 0 ? quantile : magnitudes[magnitudes.length - 1];
  return even === null ? top : Math.max(top, LEAST * even);
}

/**
 * The share of the values whose magnitude lies above the end of the colours, up to rounding.
 * @param {ArrayLike<number>} values
 * @param {number} end
 */
export function shareAbove(values, end) {
  const most = end * (1 + 1e-6);
  let above = 0;
  for (let i = 0; i < values.length; i++) if (Math.abs(values[i]) > most) above++;
  return values.length ? above / values.length : 0;
}
