import assert from 'node:assert/strict';
import test from 'node:test';
import { column, sorted, told, written } from '../../vizlib/auditing/report/gallery.js';

const data = {
  values: {
    picture: [0, 0, 1, 1, 2, 2],
    path: { words: ['a.png', 'B.png', 'c.png'], index: [0, 0, 1, 1, 2, 2] },
    right: [0, 1, 0, 1, null, 1],
    probability: [0.4, 0.5, 0.9, 0.6, 0.7, null],
    evenness: [0.1, 0.2, 0.3, 0.2, 0.5, 0.6],
  },
  model: [0, 1, 0, 1, 0, 1],
  method: [0, 0, 0, 0, 0, 0],
  presets: [{ name: 'wrong_sure', where: [['right', '==', false]], by: 'probability', falling: true }],
};
const columns = Object.fromEntries(Object.keys(data.values).map(name => [name, column(data, name)]));
const all = { preset: '', model: 0, method: 0, by: 'picture', falling: false, find: '' };

test('texts are read out of their list', () => {
  assert.deepEqual(columns.path, ['a.png', 'a.png', 'B.png', 'B.png', 'c.png', 'c.png']);
  assert.equal(column(data, 'sink'), null);
});

test('a preset takes the rows of one model that it holds for, as Python does', () => {
  const state = { ...all, preset: 'wrong_sure', by: 'probability', falling: true };
  assert.deepEqual(sorted(data, columns, state), [2, 0]);
  assert.deepEqual(sorted(data, columns, { ...state, model: 1 }), []);
});

test('rows are sorted by any column, of equal ones the first, without a value last', () => {
  assert.deepEqual(sorted(data, columns, { ...all, by: 'path', falling: true }), [4, 2, 0]);
  assert.deepEqual(sorted(data, columns, { ...all, model: 1, by: 'probability' }), [1, 3, 5]);
  assert.deepEqual(sorted(data, columns, { ...all, model: 1, by: 'probability', falling: true }), [3, 1, 5]);
  assert.deepEqual(sorted(data, columns, { ...all, model: 1, by: 'evenness' }), [1, 3, 5]);
});

test('a text is found in any case', () => {
  assert.deepEqual(sorted(data, columns, { ...all, find: ' b.PNG' }), [2]);
});

test('cells are written by their kind', () => {
  assert.equal(written('share', 0.0004), 'under 0.1\u00a0%');
  assert.equal(written('share', 0.349), '35\u00a0%');
  assert.equal(written('number', 1.23456), '1.235');
  assert.equal(written('flag', 0), 'no');
  assert.equal(written('count', null), '–');
  assert.equal(written('place', 0), '1'); // as people count, where rows are indexes
});

test('the words say what is shown in the order that is shown', () => {
  const preset = {
    name: 'wrong_sure',
    rows: 'Wrong answers',
    order: 'the surest first',
    look: 'look at labels',
    by: 'probability',
    falling: true,
  };
  const page = {
    presets: [preset],
    columns: [
      { name: 'probability', title: 'sure', kind: 'share' },
      { name: 'path', title: 'picture', kind: 'text' },
      { name: 'picture', title: '#', kind: 'place' },
    ],
  };
  const state = { preset: 'wrong_sure', by: 'probability', falling: true };
  assert.equal(
    told(page, state, 3, 3),
    'Wrong answers, the surest first: look at labels. 3 rows, all with a map here.',
  );
  assert.equal(
    told(page, { ...state, falling: false }, 1, 1),
    'Wrong answers, by sure, the smallest first. 1 row, with a map here.',
  );
  assert.equal(
    told(page, { ...state, by: 'path', falling: false }, 1200, 2),
    'Wrong answers, by picture, in alphabetical order. 1,200 rows, 2 of them with a map here.',
  );
  assert.equal(
    told(page, { ...state, by: 'picture', falling: false }, 2, 2),
    'Wrong answers, the first picture first. 2 rows, all with a map here.',
  );
  assert.equal(told(page, { ...state, preset: '' }, 0, 0), 'There is none.');
});
