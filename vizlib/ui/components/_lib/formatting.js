const ALL = 100 - 1e-5; // per cent, from which on what is missing is the rounding of a sum

/**
 * A share as per cent, with a digit behind the point where it matters, or with ``digits`` everywhere. What is not
 * nothing is not written as 0 %, and what is not all not as 100 %. Mirrors percent in vizlib/figures/numbers.py.
 * @param {number} share
 * @param {number} [digits]
 */
export function percent(share, digits) {
  const value = share * 100;
  if (share > 0 && share < (digits ? 0.0005 : 0.001)) return 'under 0.1\u00a0%';
  const shown = digits ?? (Math.abs(value) < 10 || (value >= 99.5 && value < ALL) ? 1 : 0);
  if (value < ALL && Number(value.toFixed(shown)) >= 100) return `over ${(100 - 10 ** -shown).toFixed(shown)}\u00a0%`;
  return `${decimal(value, shown)}\u00a0%`;
}

/**
 * The end of a scale: where more lies beyond it, with a sign that does not part from its number.
 * @param {string} text
 * @param {boolean} beyond
 */
export function scaleEnd(text, beyond, sign = '≥') {
  return beyond ? `${sign}\u00a0${text}` : text;
}

/**
 * A share as whole per cent, for a bar with little room; nearly all is not all.
 * @param {number} share
 */
export function briefPercent(share) {
  const text = (share * 100).toFixed(0);
  return text === '100' && share < 1 - 1e-7 ? '>99%' : `${text}%`;
}

/**
 * A number that may be below 0, with a minus sign and not a hyphen; what rounds to 0 has none. Mirrors
 * decimal in vizlib/figures/numbers.py.
 * @param {number} value
 */
export function decimal(value, digits = 2) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}

/**
 * A number with so many significant digits, a minus sign and not a hyphen, and none of its thousands as a power.
 * @param {number} value
 * @param {number} digits
 */
export function significant(value, digits) {
  const text = value.toPrecision(digits);
  return (text.includes('e+') ? String(Number(text)) : text).replace(/^-/, '−');
}

/**
 * A number with about three digits.
 * @param {number} value
 */
export function number(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size < 0.001) return (value < 0 ? '−' : '') + size.toExponential(1);
  return decimal(value, size >= 100 ? 0 : size >= 1 ? 2 : 3);
}

/**
 * A whole number with its thousands set apart.
 * @param {number} value
 */
export function thousands(value) {
  return value.toLocaleString('en', { maximumFractionDigits: 0 });
}

/**
 * Three digits and the letter of the thousands, a blank before it.
 * @param {number} value
 */
export function large(value) {
  const units = /** @type {[number, string][]} */ ([
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ]);
  const [size, letter] = units.find(([least]) => value >= least) ?? [1, ''];
  return `${(value / size).toPrecision(3)} ${letter}`;
}

/**
 * A number with its sign, a plus too.
 * @param {number} value
 */
export function signedNumber(value, digits = 2) {
  return (value < 0 ? '−' : '+') + Math.abs(value).toFixed(digits);
}

/**
 * How many digits let numbers add up to their sum as they are written: from ``digits`` up to two more, which is what is
 * left where none does. Mirrors adding_digits in vizlib/figures/numbers.py.
 * @param {number} sum
 * @param {number[]} parts
 */
export function addingDigits(sum, parts, digits = 2) {
  for (let count = digits; count < digits + 2; count++) {
    const written = parts.reduce((total, part) => total + Number(part.toFixed(count)), 0);
    if (written.toFixed(count) === sum.toFixed(count)) return count;
  }
  return digits + 2;
}

/**
 * A character as it can be seen: the blank has a mark of its own.
 * @param {string} character
 */
export function visible(character) {
  return character === ' ' ? '␣' : character;
}

/**
 * A text with a capital at its start.
 * @param {string} text
 */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
