import { percent } from '../_lib/formatting.js';

const NAMED = 3; // tokens that are named
const EVEN = 1.01; // up to so many times an even share nothing stands out

/**
 * The indices of the largest values, in falling order, those of ``skipped`` left out.
 * @param {ArrayLike<number>} values
 * @param {number} most
 * @param {Set<number>} [skipped]
 */
export function largest(values, most, skipped = new Set()) {
  /** @type {number[]} */
  const best = [];
  for (let i = 0; i < values.length; i++) {
    if (skipped.has(i) || (best.length === most && !(values[i] > values[best[most - 1]]))) continue;
    best.push(i);
    best.sort((a, b) => values[b] - values[a]);
    best.length = Math.min(most, best.length);
  }
  return best;
}

/**
 * Where most of the weights of one token lie, learned tokens among them, or that none stands out; to be said behind its
 * name.
 * @param {ArrayLike<number>} values what it gives to every token, or, ``reversed``, what every token gives to it
 * @param {(token: number) => string} nameOf
 * @param {boolean} reversed
 * @param {Set<number>} [skipped] tokens that are left out
 */
export function mostWords(values, nameOf, reversed, skipped = new Set()) {
  const best = largest(values, NAMED, skipped);
  const count = values.length - skipped.size;
  if (!best.length) return reversed ? 'is looked at from nowhere' : 'looks nowhere';
  let total = 0;
  for (let i = 0; i < values.length; i++) if (!skipped.has(i)) total += values[i];
  if (count > 1 && values[best[0]] <= (EVEN * total) / count) {
    const each = percent(total / count);
    return reversed
      ? `is looked at from all ${count} alike (${each} of each)`
      : `looks at all ${count} alike (${each} each)`;
  }
  const list = best.map(token => `${nameOf(token)} (${percent(values[token])})`).join('; ');
  return `${reversed ? 'is looked at most from' : 'looks most at'} ${list}`;
}
