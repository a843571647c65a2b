// Intervals and tests, as `imgcls.studies.stats` has them.

/** Wilson's interval of a share p of n independent photos, t standard errors wide.
 * @type {(p: number, n: number, t: number) => Interval} */
function wide(p, n, t) {
  const tt = t * t, all = 1 + tt / n, mid = p + tt / (2 * n);
  const half = Math.sqrt(tt * (p * (1 - p) / n + tt / (4 * n * n)));
  return [p === 0 ? 0 : (mid - half) / all, p === 1 ? 1 : (mid + half) / all];
}

/** Wilson's 95 % interval of k out of n. @type {(k: number, n: number) => Interval} */
export const wilson = (k, n) => (n ? wide(k / n, n, 1.959963985) : [NaN, NaN]);

/** Two-sided p of McNemar's exact test: b photos only the first run has right, c only the second.
 * @type {(b: number, c: number) => number} */
export function mcnemar(b, c) {
  const n = b + c, k = Math.min(b, c);
  let log = -n * Math.LN2, sum = Math.exp(log);
  for (let i = 1; i <= k; i++) { log += Math.log((n - i + 1) / i); sum += Math.exp(log); }
  return Math.min(1, 2 * sum);
}

/** Share of Student's t with df degrees of freedom that lies between -t and t
 * (M. Abramowitz and I. A. Stegun 1964, 26.7.3 and 26.7.4). @type {(t: number, df: number) => number} */
export function student(t, df) {
  const angle = Math.atan(t / Math.sqrt(df)), c = Math.cos(angle), odd = df % 2;
  let term = odd ? c : 1, sum = 0;
  for (let k = odd ? 3 : 2; k <= df; k += 2) { sum += term; term *= c * c * (k - 1) / k; }
  return odd ? 2 / Math.PI * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}

/** How many standard errors chance exceeds in 5 of 100 cases. @type {(df: number) => number} */
function halved(df) {
  let low = 0, high = 13;
  for (let k = 0; k < 50; k++) {
    const middle = (low + high) / 2;
    if (student(middle, df) < 0.95) low = middle; else high = middle;
  }
  return high;
}

/** @type {number[]} */
const quantiles = [];

/** The same, remembered. @type {(df: number) => number} */
const quantile = df => quantiles[df] ??= halved(df);

/** Sum of squares. @type {(values: number[]) => number} */
const squares = values => values.reduce((sum, x) => sum + x * x, 0);

/** Sums by group of how far the values of photos are from their mean; groups[i]: the group of photo i.
 * @type {(ids: ArrayLike<number>, value: (i: number) => number, groups: ArrayLike<number>, mean: number)
 *   => number[]} */
function sums(ids, value, groups, mean) {
  const found = new Map();
  for (const i of Array.from(ids)) found.set(groups[i], (found.get(groups[i]) || 0) + value(i) - mean);
  return [...found.values()];
}

/** 95 % interval of the share of photos that are right, for one classifier: `accuracy_interval`.
 * groups: null, or one number a photo; photos of one group are not independent.
 * @type {(ids: number[], right: (i: number) => number, groups: ArrayLike<number> | null) => Interval} */
export function interval(ids, right, groups) {
  const n = ids.length, k = ids.reduce((sum, i) => sum + right(i), 0), p = k / n;
  if (!groups || !n) return wilson(k, n);
  const by = sums(ids, right, groups, p), pieces = by.length;
  if (pieces < 2) return wide(p, 1, 1.96);
  const variance = pieces / (pieces - 1) / n ** 2 * squares(by);
  return wide(p, variance ? Math.max(1, p * (1 - p) / variance) : pieces, quantile(pieces - 1));
}

/** Is one classifier better than another on the same photos? `difference`. gain(i): 1 where photo i is
 * mended, -1 where it is broken. A photo or group more of each kind is added (D. G. Bonett and R. M. Price
 * 2012).
 * @type {(n: number, gain: (i: number) => number, groups: ArrayLike<number> | null) => { low: number,
 *   high: number, p: number }} */
export function difference(n, gain, groups) {
  const ids = Array.from({ length: n }, (_, i) => i), total = ids.reduce((sum, i) => sum + gain(i), 0);
  const pieces = groups ? new Set(Array.from(groups)).size : n, half = n / pieces;
  const even = half % 1 === 0.5 ? 2 * Math.round(half / 2) : Math.round(half); // as Python rounds
  const size = Math.max(1, even), all = n + 2 * size, mean = total / all;
  const by = [...sums(ids, gain, groups || ids, mean), size - size * mean, -size - size * mean];
  const df = pieces + 1, error = Math.sqrt(squares(by) * (df + 1) / df) / all, reach = quantile(df) * error;
  /** @type {(sign: number) => number} */
  const count = sign => ids.filter(i => gain(i) === sign).length;
  const p = groups ? 1 - student(Math.abs(mean) / error, df) : mcnemar(count(-1), count(1));
  return { low: Math.max(-1, mean - reach), high: Math.min(1, mean + reach), p };
}
