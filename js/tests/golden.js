// What Python says, and how near a figure must come to it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

export const golden = JSON.parse(readFileSync(process.env.GOLDEN, 'utf8'));

export function near(got, want, what) {
  const same = (x, y) => Object.is(x, y) || Math.abs(x - y) < 1e-8 || (y === null && Number.isNaN(x));
  assert.ok(got.length === want.length && got.every((x, i) => same(x, want[i])),
    `${what}: ${got} instead of ${want}`);
}
