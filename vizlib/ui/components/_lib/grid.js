/** @typedef {number[]} Cell a row and a column, or how many of both */

/** @type {Record<string, Cell>} */
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

/**
 * The index on an axis of ``count`` that a share of its length falls on, the ends included.
 * @param {number} share
 * @param {number} count
 */
export function indexAt(share, count) {
  return clamp(Math.floor(share * count), 0, count - 1);
}

/**
 * Where a pointer is on an element, in shares of its height and width.
 * @param {{ clientX: number, clientY: number }} event
 * @param {{ getBoundingClientRect(): { left: number, top: number, width: number, height: number } }} target
 * @returns {number[]}
 */
export function shareAt(event, target) {
  const box = target.getBoundingClientRect();
  return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
}

/**
 * The cell of a grid that is drawn over an element under a pointer.
 * @param {{ clientX: number, clientY: number }} event
 * @param {{ getBoundingClientRect(): { left: number, top: number, width: number, height: number } }} target
 * @param {Cell} size
 * @returns {Cell}
 */
export function cellAt(event, target, [rows, columns]) {
  const [down, across] = shareAt(event, target);
  return [indexAt(down, rows), indexAt(across, columns)];
}

/**
 * The step [rows, columns] of an arrow key, which then does nothing else on the page; null for any other key.
 * @param {{ key: string, preventDefault(): void, stopPropagation(): void }} event
 * @returns {Cell | null}
 */
export function takeArrow(event) {
  const step = ARROWS[event.key];
  if (!step) return null;
  event.preventDefault();
  event.stopPropagation();
  return step;
}

/**
 * A cell after a step, kept inside of its grid.
 * @param {Cell} cell
 * @param {Cell} step
 * @param {Cell} size
 * @returns {Cell}
 */
export function stepped([row, column], [down, across], [rows, columns]) {
  return [clamp(row + down, 0, rows - 1), clamp(column + across, 0, columns - 1)];
}

/**
 * A cell's box [top, left, bottom, right] in shares of its grid.
 * @param {Cell} cell
 * @param {Cell} size
 * @returns {number[]}
 */
export function cellBox([row, column], [rows, columns]) {
  return [row / rows, column / columns, (row + 1) / rows, (column + 1) / columns];
}

/**
 * From the first to behind the last of the numbers that is not zero; of zeros alone, nothing at their end.
 * @param {ArrayLike<number>} numbers
 * @returns {number[]}
 */
export function nonzeroSpan(numbers) {
  let first = 0;
  let end = numbers.length;
  while (first < end && !numbers[first]) first++;
  while (end > first && !numbers[end - 1]) end--;
  return [first, end];
}

/**
 * The lowest and the highest of the numbers.
 * @param {Iterable<number>} numbers
 * @returns {number[]}
 */
export function extent(numbers) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of numbers) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/**
 * What paints the cell i by values[i], in the colours of a table of 256 from ``low`` to ``high``.
 * @param {ArrayLike<number>} values
 * @param {Uint32Array} colours
 * @param {number} low
 * @param {number} high
 */
export function ramp(values, colours, low, high) {
  const factor = high > low ? 255 / (high - low) : 0;
  return (/** @type {number} */ cell) => colours[clamp((values[cell] - low) * factor, 0, 255) | 0];
}

/**
 * Paint rows x columns cells; ``colour(cell)`` gives a pixel, 0 is clear.
 * @param {HTMLCanvasElement} canvas
 * @param {number} rows
 * @param {number} columns
 * @param {(cell: number) => number} colour
 */
export function paint(canvas, rows, columns, colour) {
  canvas.height = rows;
  canvas.width = columns;
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let cell = 0; cell < pixels.length; cell++) pixels[cell] = colour(cell);
  canvas.getContext('2d')?.putImageData(image, 0, 0);
}

/**
 * Put a mark on a box [top, left, bottom, right] in shares of a panel's sides; an empty box hides it.
 * @param {HTMLElement} mark
 * @param {number[]} box
 */
export function placeMark(mark, [top, left, bottom, right]) {
  mark.style.display = bottom > top && right > left ? 'block' : 'none';
  Object.assign(mark.style, {
    top: `${top * 100}%`,
    left: `${left * 100}%`,
    height: `${(bottom - top) * 100}%`,
    width: `${(right - left) * 100}%`,
  });
}

/**
 * Hatch what lies around a box [top, left, bottom, right], in per cent of a photograph: above, below, left and right of
 * it. Returned is whether there is anything.
 * @param {HTMLElement[]} strips
 * @param {number[]} box
 */
export function hatchAround(strips, [top, left, bottom, right]) {
  const boxes = [
    [0, 0, 100, top],
    [0, bottom, 100, 100 - bottom],
    [0, top, left, bottom - top],
    [right, top, 100 - right, bottom - top],
  ];
  boxes.forEach(([x, y, width, height], side) => {
    Object.assign(strips[side].style, {
      display: width > 0.05 && height > 0.05 ? 'block' : 'none',
      left: `${x}%`,
      top: `${y}%`,
      width: `${width}%`,
      height: `${height}%`,
    });
  });
  return strips.some(strip => strip.style.display === 'block');
}

/**
 * Fill a strip of 256 x 1 with a table of colours.
 * @param {HTMLCanvasElement} canvas
 * @param {Uint32Array} colours
 */
export function paintRamp(canvas, colours) {
  paint(canvas, 1, colours.length, cell => colours[cell]);
}

/**
 * The product of every number of a column with every number of a line, row after row.
 * @param {ArrayLike<number>} down
 * @param {ArrayLike<number>} across
 */
export function outerProduct(down, across) {
  const products = new Float32Array(down.length * across.length);
  for (let y = 0; y < down.length; y++)
    if (down[y]) for (let x = 0; x < across.length; x++) products[y * across.length + x] = down[y] * across[x];
  return products;
}
