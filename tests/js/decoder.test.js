import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { decode, rowOf, sameNumbers } from '../../vizlib/ui/components/_lib/decoder.js';

// Written by the Python encoder; tests/unit/ui/test_message_codec.py holds it to that.
const MESSAGE = new Uint8Array(readFileSync(new URL('./fixtures/message.bin', import.meta.url)));

// The message at a place in a larger buffer, as it lies in what came over the wire.
function at(offset, message = MESSAGE) {
  const buffer = new Uint8Array(offset + message.length + 16).fill(0xff);
  buffer.set(message, offset);
  return buffer.subarray(offset, offset + message.length);
}

test('what Python packed comes out', () => {
  const { header, arrays } = decode(MESSAGE);
  assert.deepEqual(header, { title: "Stéfan's cat", grid: [2, 3], none: null });
  assert.deepEqual(Object.keys(arrays), ['u1', 'u2', 'i4', 'f4', 'empty', 'photo', 'inner']);
  assert.ok(arrays.u1 instanceof Uint8Array);
  assert.deepEqual([...arrays.u1], [0, 1, 2, 3, 4, 5, 255]);
  assert.ok(arrays.u2 instanceof Uint16Array);
  assert.deepEqual([...arrays.u2], [0, 1, 256, 65535]);
  assert.deepEqual(arrays.u2.shape, [2, 2]);
  assert.ok(arrays.i4 instanceof Int32Array);
  assert.deepEqual([...arrays.i4], [-2147483648, -1, 0, 2147483647]);
  assert.ok(arrays.f4 instanceof Float32Array);
  assert.deepEqual([...arrays.f4], [0.5, -1.5, Math.fround(1 / 3), NaN, Infinity, 1e-30].map(Math.fround));
  assert.deepEqual(arrays.f4.shape, [2, 3]);
  assert.equal(arrays.empty.length, 0);
  assert.equal(new TextDecoder().decode(arrays.photo), 'bytes');
});

test('a message inside another is read in place', () => {
  const { arrays } = decode(MESSAGE);
  const inner = decode(arrays.inner);
  assert.deepEqual(inner.header, { site: 'blocks.0' });
  assert.deepEqual([...inner.arrays.weights], [0.25, 0.75]);
  assert.equal(inner.arrays.weights.buffer, MESSAGE.buffer);
});

test('arrays are views where the message is aligned, of one copy where it is not', () => {
  for (let offset = 0; offset < 17; offset++) {
    const bytes = at(offset);
    const { header, arrays } = decode(bytes);
    assert.equal(header.title, "Stéfan's cat");
    assert.deepEqual([...arrays.i4], [-2147483648, -1, 0, 2147483647]);
    const buffers = new Set(Object.values(arrays).map(array => array.buffer));
    assert.equal(buffers.size, 1);
    assert.equal(buffers.has(bytes.buffer), offset % 8 === 0);
    for (const array of Object.values(arrays)) assert.equal(array.byteOffset % 8, 0);
  }
});

test('other bytes are refused, and so is a message that was cut off, whatever lies behind it', () => {
  for (const bytes of [new Uint8Array(0), new Uint8Array(7), new TextEncoder().encode('{"title":"cat"}')])
    assert.throws(() => decode(bytes), /no message/);
  for (const kept of [8, 40]) assert.throws(() => decode(at(8).subarray(0, kept)), /inside its header/);
  assert.throws(() => decode(at(8).subarray(0, MESSAGE.length - 1)), /ends inside inner/);
});

test('a row is a view of the array', () => {
  const { arrays } = decode(MESSAGE);
  assert.deepEqual([...rowOf(arrays.u2, 1)], [256, 65535]);
  assert.equal(rowOf(arrays.f4, 1).length, 3);
  assert.equal(rowOf(arrays.f4, 1).buffer, arrays.f4.buffer);
  assert.deepEqual(
    [
      ...rowOf(
        Object.assign(
          Uint8Array.from({ length: 12 }, (_, i) => i),
          { shape: [2, 2, 3] },
        ),
        1,
      ),
    ],
    [6, 7, 8, 9, 10, 11],
  );
});

test('the same numbers', () => {
  assert.equal(sameNumbers(undefined, [1]), false);
  assert.equal(sameNumbers(Uint8Array.of(1, 2), [1, 2]), true);
  assert.equal(sameNumbers([1, 2], [1, 3]), false);
  assert.equal(sameNumbers([1], [1, 2]), false);
  assert.equal(sameNumbers([], []), true);
});
