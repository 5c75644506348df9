/**
 * An array of a message: a view into its bytes, row after row.
 * @typedef {(Uint8Array | Uint16Array | Int32Array | Float32Array) & { shape: number[] }} PackedArray
 */

/**
 * What a message says and the arrays it brings by name.
 * @typedef {{ header: any, arrays: Record<string, any> }} Message
 */

const MAGIC = 0x565a5031; // "VZP1"
const ALIGNMENT = 8;
/** @type {Record<string, new (buffer: ArrayBufferLike, offset: number, length: number) => any>} */
const KINDS = { u1: Uint8Array, '<u2': Uint16Array, '<i4': Int32Array, '<f4': Float32Array };

/**
 * A message that ``pack`` in vizlib/ui/core/message_codec.py wrote, whole or inside another. The arrays are views, not
 * copies; the message itself is copied, once, where it does not begin at a multiple of eight bytes.
 * @param {Uint8Array} bytes
 * @returns {Message}
 */
export function decode(bytes) {
  const message = bytes.byteOffset % ALIGNMENT ? bytes.slice() : bytes;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  if (message.length < ALIGNMENT || view.getUint32(0, false) !== MAGIC) throw new Error('These bytes are no message.');
  const start = ALIGNMENT + view.getUint32(4, true);
  if (start > message.length) throw new Error('The message ends inside its header.');
  const { arrays: index, ...header } = JSON.parse(new TextDecoder().decode(message.subarray(ALIGNMENT, start)));
  /** @type {Record<string, PackedArray>} */
  const arrays = {};
  for (const [name, [kind, shape, offset]] of Object.entries(index)) {
    const count = product(shape);
    const array = new KINDS[kind](message.buffer, message.byteOffset + start + offset, count);
    if (start + offset + array.byteLength > message.length) throw new Error(`The message ends inside ${name}.`);
    array.shape = shape;
    arrays[name] = array;
  }
  return { header, arrays };
}

/**
 * The part of an array that belongs to one index of its first axis.
 * @param {any} array a PackedArray
 * @param {number} index
 * @returns {any}
 */
export function rowOf(array, index) {
  const length = product(array.shape.slice(1));
  return array.subarray(index * length, (index + 1) * length);
}

/**
 * Whether two arrays of numbers hold the same; an array that is not there yet is like none.
 * @param {ArrayLike<number> | null | undefined} first
 * @param {ArrayLike<number>} second
 */
export function sameNumbers(first, second) {
  if (!first || first.length !== second.length) return false;
  for (let i = 0; i < first.length; i++) if (first[i] !== second[i]) return false;
  return true;
}

/** @param {number[]} sizes */
function product(sizes) {
  return sizes.reduce((total, size) => total * size, 1);
}
