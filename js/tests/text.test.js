import assert from 'node:assert/strict';
import { test } from 'node:test';
import { golden } from './golden.js';
import { svgPainter } from '../common/painters.js';
import { csv, cut, escaped, flat, percent, plural } from '../common/text.js';
import { cellTexts } from '../explorer/layout.js';

const { texts, escaped: safe } = golden;

test('shares are rounded as Python rounds', () => {
  for (const [x, want] of texts.percent) assert.equal(percent(x), want);
  for (const [v, signed, want] of texts.cells)
    assert.deepEqual(cellTexts(v, 'recall', Boolean(signed)), want);
  assert.deepEqual(cellTexts(-12345, 'counts', true), ['−12,345', '−12k']);
  assert.equal(percent(NaN), '–');
});

test('numbers of things', () => {
  for (const [n, want] of texts.plural) assert.equal(plural(n, 'photo'), want);
  assert.equal(plural(2, 'class', 'classes'), '2 classes');
});

test('JSON inside a page comes back', () => assert.deepEqual(JSON.parse(safe.json), safe.texts));

test('CSV is what Python writes', async () => assert.equal(await csv(safe.rows, '\n').text(), safe.csv));

test('a text on one line is what Python writes', () => assert.deepEqual(safe.texts.map(flat), safe.flat));

test('a text in SVG stays text', () => {
  for (const text of safe.texts) {
    assert.doesNotMatch(escaped(text), /[<>"']|&(?!#\d+;)|[\u0000-\u0008\u000b-\u001f]/);
    const plain = text.replace(/[\u0000-\u0008\u000b-\u001f]/g, '\ufffd');
    assert.equal(escaped(text).replace(/&#(\d+);/g, (_, c) => String.fromCharCode(c)), plain);
  }
  const painter = svgPainter();
  painter.text(safe.texts[2], 0, 0, 12, 'black', 'left');
  assert.doesNotMatch(painter.out[0], /<script/);
});

test('long names keep their end', () => {
  assert.equal(cut('abcdefghij', 5), 'ab…ij');
  assert.equal(cut('🦊🦊🦊', 3), '🦊🦊🦊');
});
