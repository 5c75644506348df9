import assert from 'node:assert/strict';
import test from 'node:test';
import { keyOf, sectionsOf } from '../../vizlib/ui/components/presenter/sections.js';

// A key pressed on an element, which answers as ``matches`` does for one of these selectors.
function pressed(key, { on = [], ...more } = {}) {
  const element = { matches: selectors => on.some(selector => selectors.includes(selector)) };
  return { key, defaultPrevented: false, composedPath: () => [element, {}], ...more };
}

test('a block lies in the section of the last heading before it, a heading in its own', () => {
  assert.deepEqual(sectionsOf([false, false, true, false, true, true]), [0, 0, 1, 1, 2, 3]);
  assert.deepEqual(sectionsOf([]), []);
});

test('arrows step, Escape leaves, all other keys are left alone', () => {
  assert.deepEqual(
    ['ArrowRight', 'ArrowLeft', 'Escape', 'ArrowDown', 'a'].map(key => keyOf(pressed(key))),
    [1, -1, 'leave', 0, 0],
  );
});

test('what has arrows of its own keeps them, and what took a key is not asked again', () => {
  assert.equal(keyOf(pressed('ArrowRight', { on: ['input'] })), 0);
  assert.equal(keyOf(pressed('ArrowRight', { on: ['[role=slider]'] })), 0);
  assert.equal(keyOf(pressed('Escape', { on: ['input'] })), 'leave');
  assert.equal(keyOf(pressed('ArrowRight', { defaultPrevented: true })), 0);
  assert.equal(keyOf(pressed('ArrowLeft', { altKey: true })), 0); // the browser's way back
});
