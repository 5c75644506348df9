import assert from 'node:assert/strict';
import test from 'node:test';
import { largest, mostWords } from '../../vizlib/ui/components/attention_canvas/attention_words.js';

const NAMES = ['class token', 'row 1, column 1', 'row 1, column 2', 'row 2, column 1', 'row 2, column 2'];
const nameOf = token => NAMES[token];

test('what gets most is named, a learned token too', () => {
  const words = mostWords(Float32Array.from([0.6, 0.05, 0.25, 0.1, 0]), nameOf, false);
  assert.equal(
    words,
    'looks most at class token (60\u00a0%); row 1, column 2 (25\u00a0%); row 2, column 1 (10\u00a0%)',
  );
  const back = mostWords([0.1, 0.5, 0.2, 0, 0], nameOf, true);
  assert.equal(
    back,
    'is looked at most from row 1, column 1 (50\u00a0%); row 1, column 2 (20\u00a0%); class token (10\u00a0%)',
  );
});

test('of even weights none is the most', () => {
  assert.equal(mostWords(Array(5).fill(0.2), nameOf, false), 'looks at all 5 alike (20\u00a0% each)');
  assert.equal(mostWords(Array(5).fill(0.03), nameOf, true), 'is looked at from all 5 alike (3.0\u00a0% of each)');
  assert.match(mostWords([0.24, 0.19, 0.19, 0.19, 0.19], nameOf, false), /^looks most at class token \(24\u00a0%\)/);
  assert.equal(
    mostWords([1], () => 'the answer', false),
    'looks most at the answer (100\u00a0%)',
  );
});

test('what is left out of the picture is left out of the words', () => {
  const weights = [0.1, 0.6, 0.2, 0.1, 0];
  assert.match(
    mostWords(weights, nameOf, false, new Set([1])),
    /^looks most at row 1, column 2 \(20\u00a0%\); class token/,
  );
  assert.equal(mostWords(weights, nameOf, false, new Set([0, 1, 2, 3, 4])), 'looks nowhere');
});

test('the largest in falling order', () => {
  assert.deepEqual(largest([1, 5, 3, 5, 2], 3), [1, 3, 2]);
  assert.deepEqual(largest([1, 5, 3, 5, 2], 3, new Set([1])), [3, 2, 4]);
  assert.deepEqual(largest([2], 3), [0]);
});
