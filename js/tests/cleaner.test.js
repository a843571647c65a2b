import assert from 'node:assert/strict';
import { test } from 'node:test';
import { golden } from './golden.js';
import { choices, filtered, matches, tally } from '../cleaner/list.js';
import { replay, together } from '../common/journal.js';

const item = (id, label, kinds, more) => ({ id, file: `${id}.jpg`, label, split: 'train', suggestion: 'hare',
  reasons: kinds.map(([kind, score]) => ({ kind, score, text: '' })), ...more });
const items = [item(0, 'fox', [['label', 0.9], ['dark', 0.1]]), item(1, 'deer', [['dark', 0.8]]),
  item(2, 'fox', [['label', 0.3]])];
const all = { label: null, split: null, kind: null, show: 'all' }, ids = list => list.map(o => o.id);

test('what is in force after each line of a journal is what Python says', () => {
  for (const { rows, after, force } of golden.journals.journals) {
    for (const [n, undo, redo] of after) {
      const { done, undone } = replay(rows.slice(0, n));
      assert.deepEqual([done.length, undone.length], [undo, redo]);
    }
    after.slice(1).forEach(([n], k) => {
      const from = after[k][0], action = rows[from]?.[6], { done, undone } = replay(rows.slice(0, from));
      if (n === from || !['undo', 'redo'].includes(action)) return;
      const want = rows.slice(from, n).map(row => row.slice(1));
      const got = together(action === 'undo' ? done : undone, action).map(row => row.slice(1));
      assert.deepEqual(got, want);
    });
    const last = new Map();
    for (const row of replay(rows).done) { last.delete(row[2]); last.set(row[2], row[6]); }
    assert.deepEqual([...last], force);
  }
});

test('filters, and the order of a reason', () => {
  const marks = new Map([[2, { action: 'keep', new: '' }]]);
  assert.deepEqual(ids(filtered(items, all, marks)), [0, 1, 2]);
  assert.deepEqual(ids(filtered(items, { ...all, kind: 'dark' }, marks)), [1, 0]);
  assert.deepEqual(ids(filtered(items, { ...all, label: 'fox', show: 'undecided' }, marks)), [0]);
  const found = choices({ items, classes: ['deer', 'fox', 'hare'] });
  assert.deepEqual(found.label, [['deer', 1], ['fox', 2]]);
  assert.deepEqual(found.kind, [['label', 2], ['dark', 2]]);
});

test('how many of each class were relabelled, kept, set aside and deleted', () => {
  const marks = new Map([[0, { action: 'relabel', new: 'deer' }], [1, { action: 'keep', new: '' }],
    [2, { action: 'delete', new: '' }]]);
  assert.deepEqual(tally(items, marks), [['fox', [1, 0, 0, 1]], ['deer', [0, 1, 0, 0]]]);
  assert.deepEqual(tally(items, new Map()), []);
});

test('classes that hold what is typed, the suggestion in front', () => {
  const classes = ['fox', 'fox cub', 'arctic fox', 'hare', 'écureuil'];
  assert.deepEqual(matches(classes, items[1], ''), ['hare', 'fox', 'fox cub', 'arctic fox', 'écureuil']);
  assert.deepEqual(matches(classes, items[1], 'FOX'), ['fox', 'fox cub', 'arctic fox']);
  assert.deepEqual(matches(classes, items[0], 'ecu'), ['écureuil']);
});
