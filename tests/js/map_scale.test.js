import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { shareAbove, upperEnd } from '../../vizlib/ui/components/_lib/map_scale.js';

// What vizlib/figures/map_scale.py gives; tests/unit/ui/test_message_codec.py keeps the fixture true.
const CASES = JSON.parse(readFileSync(new URL('fixtures/map_scale.json', import.meta.url), 'utf8'));

test('the colours of maps made in the browser end where Python has them end', () => {
  assert.ok(CASES.length > 5);
  for (const { values, even, end, above } of CASES) {
    const own = upperEnd(values, even);
    assert.ok(Math.abs(own - end) <= 1e-12 * Math.max(1, end), `${own} is not ${end}`);
    assert.equal(shareAbove(values, end), above);
  }
});

test('single precision, as a canvas has it, gives the same end', () => {
  for (const { values, even, end } of CASES) {
    const own = upperEnd(Float32Array.from(values), even);
    assert.ok(Math.abs(own - end) <= 1e-6 * Math.max(1, end), `${own} is not ${end}`);
  }
});
