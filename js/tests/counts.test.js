import assert from 'node:assert/strict';
import { test } from 'node:test';
import { golden, near } from './golden.js';
import { accuracyRange, classFigures, confusedPairs, count, photosOf }
  from '../explorer/counts.js';
import { u16, u32 } from '../common/file.js';
import { range } from '../common/text.js';

for (const { start, run, ...want } of golden.counts) {
  const C = start.classes.length, { n } = start, targets = u16(start.targets);
  const tested = { C, n, targets, groups: start.groups && u32(start.groups) };
  const [pred, conf] = [run.pred, run.conf].map(x => u16(x).subarray(n)); // the second of two epochs
  const view = count(targets, pred, conf, C), about = start.groups ? ' of groups' : '';

  test(`counts${about}`, () => {
    assert.deepEqual([...view.counts], want.counts.flat());
    assert.equal(view.right / n, want.accuracy[0]);
    assert.equal(accuracyRange(tested, view), range(want.accuracy.slice(1)));
  });

  test(`figures of the classes${about}`, () => want.figures.forEach((f, c) => {
    const got = classFigures(tested, view, c);
    near([got.tp, got.fp, got.fn, got.tn, got.precision, got.recall, got.f1, ...got.precisionInterval,
      ...got.recallInterval], Object.values(f), start.classes[c]);
  }));

  test(`most confused pairs${about}`, () => {
    assert.deepEqual(confusedPairs(view, C).map(({ t, p, n }) => [t, p, n]), want.pairs);
  });

  test(`photos of a cell, the most confident first${about}`, () => want.cells.forEach((ids, t) => {
    assert.deepEqual(photosOf(tested, view, { kind: 'cell', t, p: 0 }), ids);
  }));
}

test('of pairs with as many photos, that with the larger share of its class is first', () => {
  const counts = Int32Array.of(5, 2, 0, 0, 5, 2, 2, 0, 4);
  assert.deepEqual(confusedPairs({ counts, rows: [7, 7, 6] }, 3)[0], { t: 2, p: 0, n: 2 });
  assert.deepEqual(confusedPairs({ counts: Int32Array.of(5, 0, 0, 5), rows: [5, 5] }, 2), []);
});

test('photos without a prediction count as wrong and are found', () => {
  const targets = Uint16Array.of(0, 1, 1), pred = Uint16Array.of(0, 65535, 1),
    view = count(targets, pred, targets, 2);
  assert.deepEqual([view.right, view.none, ...view.rows], [2, 1, 1, 2]);
  const picked = pick => photosOf({ C: 2, n: 3, targets }, view, pick);
  assert.deepEqual([picked({ kind: 'none', t: -1 }), picked({ kind: 'fn', t: 1 })], [[1], [1]]);
  assert.deepEqual(picked({ kind: 'fp', t: 1 }), []);
});
