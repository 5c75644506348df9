import assert from 'node:assert/strict';
import test from 'node:test';
import {
  cellAt,
  cellBox,
  clamp,
  extent,
  hatchAround,
  indexAt,
  nonzeroSpan,
  outerProduct,
  paint,
  paintRamp,
  placeMark,
  ramp,
  shareAt,
  stepped,
  takeArrow,
} from '../../vizlib/ui/components/_lib/grid.js';

const BOX = { getBoundingClientRect: () => ({ left: 100, top: 50, width: 200, height: 100 }) };
const pointer = (clientX, clientY) => ({ clientX, clientY });

function arrow(key) {
  const calls = [];
  const event = { key, preventDefault: () => calls.push('prevented'), stopPropagation: () => calls.push('stopped') };
  return { step: takeArrow(event), calls };
}

// A canvas of as much as is painted on.
function canvas() {
  globalThis.ImageData = class {
    constructor(width, height) {
      Object.assign(this, { width, height, data: new Uint8ClampedArray(4 * width * height) });
    }
  };
  const target = { getContext: () => ({ putImageData: image => (target.image = image) }) };
  return target;
}

test('the cell under a pointer, and the nearest one from outside', () => {
  assert.deepEqual(shareAt(pointer(150, 75), BOX), [0.25, 0.25]);
  assert.deepEqual(cellAt(pointer(150, 75), BOX, [4, 8]), [1, 2]);
  assert.deepEqual(cellAt(pointer(299.9, 149.9), BOX, [4, 8]), [3, 7]);
  assert.deepEqual(cellAt(pointer(300, 150), BOX, [4, 8]), [3, 7]);
  assert.deepEqual(cellAt(pointer(0, 1000), BOX, [4, 8]), [3, 0]);
  assert.equal(indexAt(0.999, 3), 2);
  assert.equal(clamp(5, 0, 3), 3);
});

test('arrow keys are taken, other keys are left to the page', () => {
  assert.deepEqual(arrow('ArrowLeft'), { step: [0, -1], calls: ['prevented', 'stopped'] });
  assert.deepEqual(
    ['ArrowRight', 'ArrowUp', 'ArrowDown'].map(key => arrow(key).step),
    [
      [0, 1],
      [-1, 0],
      [1, 0],
    ],
  );
  assert.deepEqual(arrow('Tab'), { step: null, calls: [] });
});

test('a step stays inside of the grid', () => {
  assert.deepEqual(stepped([0, 3], [-1, 0], [4, 4]), [0, 3]);
  assert.deepEqual(stepped([0, 3], [0, 1], [4, 4]), [0, 3]);
  assert.deepEqual(stepped([2, 2], [1, -2], [4, 4]), [3, 0]);
});

test('boxes, spans and products', () => {
  assert.deepEqual(cellBox([1, 0], [2, 4]), [0.5, 0, 1, 0.25]);
  assert.deepEqual(nonzeroSpan([0, 2, 0, 3, 0]), [1, 4]);
  assert.deepEqual(nonzeroSpan([1]), [0, 1]);
  assert.deepEqual(nonzeroSpan([0, 0]), [2, 2]);
  assert.deepEqual([...outerProduct([0, 2], [1, 3])], [0, 0, 2, 6]);
  assert.deepEqual(extent(Float32Array.of(3, -1, 2)), [-1, 3]);
});

test('a ramp goes from its first colour to its last and stays there', () => {
  const colours = Uint32Array.from({ length: 256 }, (_, i) => i);
  const colour = ramp([0, 1, 2, 3, 9], colours, 1, 3);
  assert.deepEqual([0, 1, 2, 3, 4].map(colour), [0, 0, 127, 255, 255]);
  assert.equal(ramp([5], colours, 5, 5)(0), 0);
});

test('cells are painted row after row, as red, green, blue and alpha', () => {
  const target = canvas();
  paint(target, 2, 3, cell => (cell === 4 ? 0x80030201 : 0));
  assert.deepEqual([target.height, target.width, target.image.width, target.image.height], [2, 3, 3, 2]);
  assert.deepEqual([...target.image.data.subarray(16, 20)], [1, 2, 3, 128]);
  assert.equal(
    target.image.data.reduce((sum, value) => sum + value, 0),
    134,
  );
  paintRamp(target, Uint32Array.of(0xff000001, 0xff000002));
  assert.deepEqual([...target.image.data], [1, 0, 0, 255, 2, 0, 0, 255]);
});

test('a mark lies on its box, and an empty box has none', () => {
  const mark = { style: {} };
  placeMark(mark, [0.25, 0, 0.5, 1]);
  assert.deepEqual(mark.style, { display: 'block', top: '25%', left: '0%', height: '25%', width: '100%' });
  placeMark(mark, [0.5, 0, 0.5, 1]);
  assert.equal(mark.style.display, 'none');
});

test('what lies around the part that was seen is hatched', () => {
  const strips = Array.from({ length: 4 }, () => ({ style: {} }));
  assert.equal(hatchAround(strips, [0, 25, 100, 75]), true);
  assert.deepEqual(
    strips.map(({ style }) => style.display),
    ['none', 'none', 'block', 'block'],
  );
  assert.deepEqual(strips[3].style, { display: 'block', left: '75%', top: '0%', width: '25%', height: '100%' });
  assert.equal(hatchAround(strips, [0, 0, 100, 100]), false);
});
