import { test } from 'node:test';
import { golden, near } from './golden.js';
import { difference, interval, mcnemar, wilson } from '../explorer/stats.js';

const { pairs, ...simple } = golden.statistics;

test('intervals and differences, with and without groups', () => {
  for (const { a, b, groups, ...want } of pairs) {
    const got = interval(a.map((_, i) => i), i => a[i], groups),
      d = difference(a.length, i => a[i] - b[i], groups);
    near(got, want.interval, `interval of ${a.length} photos`);
    near([d.low, d.high, d.p], Object.values(want.difference), `difference of ${a.length} photos`);
  }
});

test('McNemar and Wilson', () => {
  for (const [b, c, p] of simple.mcnemar) near([mcnemar(b, c)], [p], `McNemar of ${b} and ${c}`);
  for (const [k, n, range] of simple.wilson) near(wilson(k, n), range, `Wilson of ${k} in ${n}`);
});
