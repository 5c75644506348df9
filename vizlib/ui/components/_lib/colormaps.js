// Colours as a canvas takes them: pixels are numbers 0xAABBGGRR. Tables of colours come with the messages, from
// vizlib/figures/colormaps.py; the diverging one is here too, for what is coloured by the hundred.

/** Okabe and Ito's colours for kinds, which the colour-blind can tell apart. */
export const OKABE_ITO = {
  orange: '#E69F00',
  sky: '#56B4E9',
  green: '#009E73',
  yellow: '#F0E442',
  blue: '#0072B2',
  vermilion: '#D55E00',
  purple: '#CC79A7',
};

// 17 places, at equal steps from -1 to 1, of the palette ``diverging`` in vizlib/figures/colormaps.py.
const DIVERGING = [
  [33, 102, 172],
  [73, 118, 181],
  [102, 135, 191],
  [128, 153, 200],
  [152, 171, 209],
  [176, 189, 219],
  [200, 208, 228],
  [223, 227, 237],
  [247, 247, 247],
  [247, 224, 216],
  [246, 202, 187],
  [242, 179, 158],
  [237, 157, 130],
  [230, 134, 103],
  [222, 112, 76],
  [212, 88, 49],
  [202, 62, 20],
];

/**
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 */
export function pixel(red, green, blue, alpha = 255) {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/**
 * The pixel that lies at ``index`` of an array of red, green and blue.
 * @param {ArrayLike<number>} rgb
 * @param {number} index
 */
export function rgbPixel(rgb, index) {
  return pixel(rgb[3 * index], rgb[3 * index + 1], rgb[3 * index + 2]);
}

/**
 * @param {number} colour
 * @param {number} alpha 0 to 255
 */
export function withAlpha(colour, alpha) {
  return ((colour & 0xffffff) | (alpha << 24)) >>> 0;
}

/**
 * A pixel of a colour written as #rrggbb.
 * @param {string} hex
 */
export function hexPixel(hex) {
  const value = parseInt(hex.slice(1), 16);
  return pixel(value >> 16, (value >> 8) & 255, value & 255);
}

/**
 * A pixel as CSS writes it.
 * @param {number} colour
 */
export function cssColour(colour) {
  return `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
}

/**
 * Black or white, whichever is read more easily on a colour: at a relative luminance (WCAG) of 0.179 both are equal.
 * @param {number} colour
 */
export function readableOn(colour) {
  const [red, green, blue] = [0, 8, 16].map(shift => {
    const part = ((colour >> shift) & 255) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? '#000' : '#fff';
}

/**
 * 256 pixels of a table of red, green and blue.
 * @param {ArrayLike<number>} table
 */
export function colourTable(table) {
  return Uint32Array.from({ length: 256 }, (_, level) => rgbPixel(table, level));
}

/**
 * Of several tables one behind the other, the one with this name; the first where there is no such name.
 * @param {Uint8Array} tables
 * @param {string[]} names
 * @param {string} name
 */
export function namedTable(tables, names, name) {
  const start = 768 * Math.max(0, names.indexOf(name));
  return colourTable(tables.subarray(start, start + 768));
}

/**
 * Blue below zero, light at zero, red above: -1 to 1, and what lies beyond as its end.
 * @param {number} value
 */
export function diverging(value) {
  const place = ((Math.max(-1, Math.min(1, value)) + 1) / 2) * (DIVERGING.length - 1);
  const first = Math.min(DIVERGING.length - 2, Math.floor(place));
  const share = place - first;
  const [red, green, blue] = [0, 1, 2].map(i =>
    Math.round(DIVERGING[first][i] + (DIVERGING[first + 1][i] - DIVERGING[first][i]) * share),
  );
  return pixel(red, green, blue);
}
