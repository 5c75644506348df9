import { percent, visible } from '../_lib/formatting.js';
import { clamp } from '../_lib/grid.js';

const LARGEST_TANH = 0.9999999; // what atanh can still take

// A number as the formulas write it.
export function written(value) {
  if (!Number.isFinite(value)) return '−∞';
  const size = Math.abs(value);
  const text = size >= 1000 || (value !== 0 && size < 5e-4) ? value.toExponential(1) : value.toFixed(3);
  return text.replaceAll('-', '−');
}

// A number that is taken away: one below 0 in brackets, so that no two signs meet.
function taken(value) {
  return value < 0 ? `− (${written(value)})` : `− ${written(value)}`;
}

// The sum over i of first[i] times second[start + i * step].
export function dotProduct(first, second, start, step, count) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += first[i] * second[start + i * step];
  return sum;
}

// The largest products of a sum, and what all others come to.
function products(pairs, most = 3) {
  const falling = [...pairs].sort((a, b) => Math.abs(b[0] * b[1]) - Math.abs(a[0] * a[1]));
  const shown = falling.slice(0, most).map(([a, b]) => `${written(a)} × ${written(b)}`);
  const others = falling.slice(most);
  if (others.length) {
    const rest = others.reduce((sum, [a, b]) => sum + a * b, 0);
    shown.push(`${others.length} smaller products that come to ${written(rest)}`);
  }
  return shown.join(' + ');
}

function nameOf(header, column) {
  return `“${visible(header.source[column])}”`;
}

function query({ header, arrays, d }, row) {
  return {
    title: `Query, number ${row + 1} of ${d}: ${written(arrays.query[row])}`,
    formula: header.formulas.query,
    numbers: `${header.query_words}: the question that is asked of every key.`,
  };
}

function keys({ header, arrays, d }, row, column) {
  const key = nameOf(header, column);
  return {
    title: `Key of ${key}, number ${row + 1} of ${d}: ${written(arrays.keys[column * d + row])}`,
    formula: header.formulas.keys,
    numbers: `Each key ${header.key_words}.`,
  };
}

function scores(step, row, column) {
  const { header, arrays, d, view } = step;
  const title = `Score of ${nameOf(header, column)}: ${written(step.score(column))}`;
  const formula = header.formulas.score;
  if (view.scores.has(column)) {
    const numbers = `The model had ${written(step.ownScore(column))}. Delete gives it back.`;
    return { title: `${title}, set by hand`, formula, numbers };
  }
  const scaled = view.scaled ? ` / √${header.width} = ${written(step.score(column))}` : '';
  if (!header.products) {
    const numbers = `A learned function of both vectors; it gave ${written(arrays.raw[column])}${scaled}.`;
    return { title, formula, numbers };
  }
  const pairs = Array.from({ length: d }, (_, i) => [arrays.query[i], arrays.keys[column * d + i]]);
  const sum = written(dotProduct(arrays.query, arrays.keys, column * d, 1, d));
  return { title, formula, numbers: `(${products(pairs)}) = ${sum}${scaled}` };
}

function weights(step, row, column) {
  const { header, view } = step;
  const key = nameOf(header, column);
  if (view.mask.has(column)) {
    const numbers = 'Its key is hidden: the score counts as −∞.';
    return { title: `Weight of ${key}: 0`, formula: 'a_{j} = exp(−∞) / … = 0', numbers };
  }
  const logits = step.softmaxInputs();
  const top = Math.max(...logits);
  const total = written(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
  const weight = written(step.weights[column]);
  const exponent = `${written(step.score(column))} / ${view.tau.toFixed(2)} ${taken(top)}`;
  const share = `${written(Math.exp(logits[column] - top))} / ${total}`;
  const why = 'The largest score is subtracted everywhere: that changes nothing and nothing overflows.';
  return {
    title: `Weight of ${key}: ${weight}`,
    formula: 'a_{j} = exp(e_{j}/τ) / Σ_{i} exp(e_{i}/τ)',
    numbers: `exp(${exponent}) / ${total} = ${share} = ${weight}. ${why}`,
  };
}

function values({ header, arrays, weights: shares }, row, column) {
  const width = arrays.values.shape[1];
  const value = arrays.values[column * width + row];
  const weight = shares[column];
  const product = `${written(weight)} × ${written(value)} = ${written(weight * value)}`;
  return {
    title: `Value of ${nameOf(header, column)}, number ${row + 1} of ${width}: ${written(value)}`,
    formula: header.formulas.values,
    numbers: `Counts ${percent(weight, 1)}: ${product} goes into the context.`,
  };
}

function context({ arrays, n, weights: shares, context: sums }, row) {
  const width = arrays.values.shape[1];
  const pairs = Array.from({ length: n }, (_, j) => [shares[j], arrays.values[j * width + row]]);
  return {
    title: `Context, number ${row + 1} of ${width}: ${written(sums[row])}`,
    formula: 'c = Σ_{j} a_{j} v_{j}',
    numbers: `${products(pairs)} = ${written(sums[row])}`,
  };
}

function combined({ header, combined: numbers }, row, column) {
  let place = column;
  let [name, length] = header.parts[0];
  for ([name, length] of header.parts) {
    if (place < length) break;
    place -= length;
  }
  return {
    title: `Number ${column + 1} of ${numbers.length}: ${written(numbers[column])}`,
    formula: header.formulas.combined,
    numbers: `It is number ${place + 1} of the ${name}.`,
  };
}

function output({ header, combined: inputs, output: outputs }, row, column) {
  const value = outputs[column];
  const argument = written(Math.atanh(clamp(value, -LARGEST_TANH, LARGEST_TANH)));
  const sum = `a learned sum over all ${inputs.length} numbers above`;
  return {
    title: `Output, number ${column + 1} of ${outputs.length}: ${written(value)}`,
    formula: header.formulas.output,
    numbers: header.squashed
      ? `tanh(${argument}) = ${written(value)}; the argument is ${sum}.`
      : `A learned function of all ${inputs.length} numbers above.`,
  };
}

function answer({ header, logits, chances }, row, column) {
  const top = Math.max(...logits);
  const total = written(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
  const logit = written(logits[column]);
  return {
    title: `Probability of “${visible(header.alphabet[column])}”: ${percent(chances[column], 1)}`,
    formula: 'p_{k} = exp(z_{k}) / Σ_{i} exp(z_{i}),   z = W_{s} o + b_{s}',
    numbers: `z_{k} = ${logit}; exp(${logit} ${taken(top)}) / ${total} = ${written(chances[column])}`,
  };
}

// What there is to say of a number of each kind: {title, formula, numbers} of (step, row, column).
export const EXPLANATIONS = { query, keys, scores, weights, values, context, combined, output, answer };
