import assert from 'node:assert/strict';
import { test } from 'node:test';
import { golden, near } from './golden.js';
import { accuracyRange, byConfidence, classFigures, confusedPairs, count, indexed,
  largestError } from '../explorer/counts.js';
import { u16, u32 } from '../common/numbers.js';
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
    const got = confusedPairs(view, C).map(k => [Math.floor(k / C), k % C, view.counts[k]]);
    assert.deepEqual(got, want.pairs);
  });

  test(`the largest error, the first in the order shown${about}`, () => {
    const [t, p] = want.largest, order = start.classes.map((_, c) => c);
    assert.deepEqual(largestError(view, order), { t, p, n: want.counts[t][p] });
    const even = { counts: Int32Array.of(5, 2, 0, 0, 5, 2, 2, 0, 5) };
    assert.deepEqual(largestError(even, [1, 0, 2]), { t: 1, p: 2, n: 2 });
    assert.equal(largestError({ counts: Int32Array.of(5, 0, 0, 5) }, [0, 1]), null);
  });

  test(`photos of a cell, the most confident first${about}`, () => want.cells.forEach((ids, t) => {
    const { start: from, ids: all } = indexed(targets, pred, C), k = t * C;
    assert.deepEqual(byConfidence(all.subarray(from[k], from[k + 1]), conf), ids);
  }));
}

test('photos without a prediction count as wrong and are found', () => {
  const targets = Uint16Array.of(0, 1, 1), pred = Uint16Array.of(0, 65535, 1),
    view = count(targets, pred, targets, 2);
  assert.deepEqual([view.right, view.none, ...view.rows], [2, 1, 1, 2]);
  const { start, ids } = indexed(targets, pred, 2);
  assert.deepEqual([...ids.subarray(start[4])], [1]);
});
