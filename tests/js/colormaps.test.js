import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import * as colormaps from '../../vizlib/ui/components/_lib/colormaps.js';

// The palette of vizlib/figures/colormaps.py; tests/unit/ui/test_message_codec.py holds it to that.
const PYTHON = JSON.parse(readFileSync(new URL('./fixtures/diverging.json', import.meta.url), 'utf8'));
const channels = colour => [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255, colour >>> 24];

test('a pixel holds red, green, blue and alpha', () => {
  assert.equal(colormaps.pixel(1, 2, 3), 0xff030201);
  assert.equal(colormaps.pixel(1, 2, 3, 128), 0x80030201);
  assert.equal(colormaps.withAlpha(0xff030201, 16), 0x10030201);
  assert.equal(colormaps.hexPixel('#D55E00'), colormaps.pixel(213, 94, 0));
  assert.equal(colormaps.cssColour(0xff030201), 'rgb(1 2 3)');
  assert.equal(colormaps.rgbPixel([9, 9, 9, 1, 2, 3], 1), 0xff030201);
});

test('tables are looked up by name, the first where there is no such name', () => {
  const tables = Uint8Array.from({ length: 2 * 768 }, (_, i) => (i < 768 ? 1 : 2));
  assert.equal(colormaps.colourTable(tables).length, 256);
  assert.equal(colormaps.namedTable(tables, ['viridis', 'magma'], 'magma')[255], 0xff020202);
  assert.equal(colormaps.namedTable(tables, ['viridis', 'magma'], 'jet')[255], 0xff010101);
});

test('the diverging palette is the one of Python', () => {
  assert.equal(PYTHON.length, 86);
  for (const [value, colour] of PYTHON) {
    const own = channels(colormaps.diverging(value));
    assert.equal(own[3], 255);
    for (const i of [0, 1, 2]) assert.ok(Math.abs(own[i] - colour[i]) <= 3, `${value}: ${own} for ${colour}`);
  }
  assert.equal(colormaps.diverging(-7), colormaps.diverging(-1));
  assert.equal(colormaps.diverging(7), colormaps.diverging(1));
});

test('words on any colour of the diverging palette have a contrast of 4.5 at least', () => {
  const linear = part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const luminance = rgb => [0.2126, 0.7152, 0.0722].reduce((sum, of, i) => sum + of * linear(rgb[i] / 255), 0);
  assert.equal(colormaps.readableOn(colormaps.pixel(255, 255, 255)), '#000');
  assert.equal(colormaps.readableOn(colormaps.pixel(0, 0, 0)), '#fff');
  for (let at = -20; at <= 20; at++) {
    const colour = colormaps.diverging(at / 20);
    const words = colormaps.readableOn(colour) === '#000' ? 0 : 1;
    const [low, high] = [words, luminance(channels(colour))].sort((a, b) => a - b);
    assert.ok((high + 0.05) / (low + 0.05) >= 4.5, `${at / 20}`);
  }
});
