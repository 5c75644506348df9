import assert from 'node:assert/strict';
import test from 'node:test';
import { magnified } from '../../vizlib/ui/components/_lib/full_screen.js';

test('a small map is magnified until one side reaches the edge, and lies in the middle', () => {
  const { zoom, above, beside } = magnified([200, 300], [824, 1024]);
  assert.equal(zoom, 1000 / 300);
  assert.ok(Math.abs(beside * zoom - 12) < 1e-9);
  assert.ok(Math.abs(2 * above * zoom + 200 * zoom - 824) < 1e-9);
});

test('what is larger than the screen keeps its size, and is scrolled', () => {
  assert.deepEqual(magnified([3000, 900], [800, 1000]), { zoom: 1, above: 12, beside: 50 });
});
