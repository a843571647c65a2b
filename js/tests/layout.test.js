import assert from 'node:assert/strict';
import { test } from 'node:test';
import { golden, near } from './golden.js';
import { ramps } from '../common/colours.js';
import { geometry, hit, mostZoom, paint, panned, scene, shortener, zoomed } from '../explorer/layout.js';

const widthOf = text => 7 * Array.from(text).length;

test('colours are those of Python', () => {
  const hex = css => `#${css.match(/\d+/g).map(v => Number(v).toString(16).padStart(2, '0')).join('')}`;
  for (const [name, want] of Object.entries(golden.shades))
    assert.deepEqual(ramps[name].map(({ css, ink }) => [hex(css), ink]), want, name);
});

test('where the matrix lies', () => {
  for (const { names, width, most, left, cell, top } of golden.layouts) {
    const g = geometry(names, width, most, widthOf);
    near([g.left, g.base, g.top, g.side], [left, cell, top, cell * names.length],
      `${names.length} classes, ${width} px`);
  }
});

test('zooming keeps the point under the pointer, and the view inside', () => {
  const names = golden.layouts[3].names, g = geometry(names, 700, 620, widthOf), C = names.length;
  const at = (x, y) => [g.x + x / (g.base * g.zoom), g.y + y / (g.base * g.zoom)], before = at(200, 300);
  zoomed(g, C, 3, 200, 300);
  near(at(200, 300), before, 'the point');
  zoomed(g, C, 1000);
  assert.equal(g.zoom, mostZoom(g));
  panned(g, C, -5, 1e9);
  near([g.x, g.y], [0, C - C / g.zoom], 'the corner');
  zoomed(g, C, 0);
  assert.deepEqual([g.zoom, g.x, g.y], [1, 0, 0]);
});

test('cells and names under a point', () => {
  const g = geometry(['fox', 'deer', 'hare'], 700, 620, widthOf), C = 3, middle = k => (k + 0.5) * g.base;
  const found = hit(g, C, g.left + middle(2), g.top + middle(1));
  assert.deepEqual([found.row, found.col], [1, 2]);
  assert.equal(hit(g, C, g.left / 2, g.top + middle(1)).col, undefined);
  assert.equal(hit(g, C, g.left + g.side + 3, 100), null);
});

test('names are shortened to their room and cannot turn the text around them', () => {
  const shorten = shortener(widthOf);
  assert.equal(shorten('a long name', 35, 12), '\u2068a lo…\u2069');
  assert.doesNotMatch(shorten('\u202egnp\n', 99, 12), /[\u202e\n]/);
});

test('every cell in sight is painted, with its number', () => {
  const counts = Int32Array.of(5, 1, 0, 2000), of = x => Int32Array.of(...x), names = ['fox', 'deer'];
  const view = { counts, rows: of([6, 2000]), cols: of([5, 2001]), right: 2005, n: 2006 }, texts = [],
    rects = [];
  const painter = { rect: (...r) => rects.push(r), clip() {}, unclip() {}, text: text => texts.push(text) };
  paint(painter, geometry(names, 700, 620, widthOf), scene(2, 'counts', view, null), [1, 0]);
  assert.deepEqual(texts, ['2,000', '0', '1', '5']);
  assert.equal(rects.length, 5);
});

test('a scale spans an interval: 79.3 and 82.0 % of 150 photos look alike', () => {
  const of = right => ({ counts: Int32Array.of(right, 150 - right, 0, 150), rows: [150, 150], n: 300 });
  const [a, b] = [of(123), of(119)], tight = scene(2, 'counts', a, b), wide = scene(2, 'counts', a, b, 0.13);
  assert.deepEqual([tight.top, wide.top, wide.err], [4, 20, 20]);
  assert.equal(tight.paint(0, 0).css, ramps.better[100].css);
  assert.notEqual(wide.paint(0, 0).css, ramps.better[100].css);
  assert.equal(scene(2, 'recall', a, b, 0.13).top, 0.13);
});
