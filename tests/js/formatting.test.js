import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import {
  addingDigits,
  briefPercent,
  capital,
  decimal,
  large,
  number,
  percent,
  scaleEnd,
  signedNumber,
  significant,
  thousands,
  visible,
} from '../../vizlib/ui/components/_lib/formatting.js';

// What vizlib/figures/numbers.py makes of the same shares; tests/unit/ui/test_message_codec.py holds it to that.
const PERCENT = JSON.parse(readFileSync(new URL('./fixtures/percent.json', import.meta.url), 'utf8'));

test('a share is written as Python writes it', () => {
  assert.ok(PERCENT.length >= 10);
  for (const [share, text] of PERCENT) assert.equal(percent(share), text, String(share));
});

test('a share with a digit everywhere', () => {
  assert.equal(percent(0.4534, 1), '45.3\u00a0%');
  assert.equal(percent(1, 1), '100.0\u00a0%');
  assert.equal(percent(0.0006, 1), '0.1\u00a0%');
  assert.equal(percent(0.0004, 1), 'under 0.1\u00a0%');
  assert.equal(percent(0, 1), '0.0\u00a0%');
  assert.equal(percent(0.9996, 1), 'over 99.9\u00a0%');
  assert.equal(percent(-0.05, 1), '−5.0\u00a0%');
});

test('nearly all is not all', () => {
  assert.deepEqual([0.994, 0.998, 1, 0].map(briefPercent), ['99%', '>99%', '100%', '0%']);
});

test('a number below 0 has a minus, and what rounds to 0 none', () => {
  assert.deepEqual(
    [-1.234, -0.001, 2].map(value => decimal(value)),
    ['−1.23', '0.00', '2.00'],
  );
});

test('a number with about three digits', () => {
  const texts = [0, 123.4, -1.234, 0.01234, 0.0001234, Infinity].map(number);
  assert.deepEqual(texts, ['0', '123', '−1.23', '0.012', '1.2e-4', 'Infinity']);
});

test('a number below 0 has a minus and no hyphen', () => {
  assert.deepEqual([decimal(-0.123), decimal(-1.26, 1), decimal(2)], ['−0.12', '−1.3', '2.00']);
  assert.equal(number(-0.00012), '−1.2e-4');
});

test('significant digits', () => {
  const texts = [significant(-0.123, 2), significant(1234, 2), significant(1, 3), significant(0.00001234, 2)];
  assert.deepEqual(texts, ['−0.12', '1200', '1.00', '0.000012']);
});

test('a number below 0 has a minus sign, and nothing has none', () => {
  assert.deepEqual(
    [0.126, -0.126, -0.004, 0].map(value => decimal(value)),
    ['0.13', '−0.13', '0.00', '0.00'],
  );
  assert.equal(decimal(-1.26, 1), '−1.3');
});

test('large numbers', () => {
  assert.deepEqual([1, 999, 1000, 12345, 1.5e6, 2e9, 3.21e12].map(large), [
    '1.00 ',
    '999 ',
    '1.00 k',
    '12.3 k',
    '1.50 M',
    '2.00 G',
    '3.21 T',
  ]);
  assert.deepEqual([7, 1024, 1234567.8].map(thousands), ['7', '1,024', '1,234,568']);
});

test('signs and blanks are seen', () => {
  assert.deepEqual(
    [0.5, -0.5, 0].map(value => signedNumber(value)),
    ['+0.50', '−0.50', '+0.00'],
  );
  assert.deepEqual([...'a b'].map(visible), ['a', '␣', 'b']);
});

test('a capital at the start', () => {
  assert.deepEqual(['layer 6', 'Read-out', ''].map(capital), ['Layer 6', 'Read-out', '']);
});

test('numbers are written with so many digits that they add up', () => {
  assert.equal(addingDigits(6.22, [6.2, 0.02]), 2);
  assert.equal(addingDigits(2.865, [2.894, -0.029]), 3); // 2.89 and -0.03 would be 2.86, and the sum reads 2.87
  assert.equal(addingDigits(1, [0.3, 0.3]), 4); // nothing helps
});

test('the end of a scale keeps its sign on its line', () => {
  assert.equal(scaleEnd('4.1\u00a0%', true), '≥\u00a04.1\u00a0%');
  assert.equal(scaleEnd('4.1\u00a0%', false), '4.1\u00a0%');
  assert.equal(scaleEnd('−2×', true, '≤'), '≤\u00a0−2×');
});
