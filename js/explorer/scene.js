// What the matrix shows: colour and text of each cell, of one run or of the difference of two.
import { ramps } from '../common/colours.js';
import { fixed, number } from '../common/text.js';

/** Value of a cell: count, share of the row (recall) or share of the column (precision).
 * @type {(view: Counted, C: number, mode: Mode, t: number, p: number) => number} */
export function cellValue(view, C, mode, t, p) {
  const v = view.counts[t * C + p];
  return mode === 'counts' || !v ? v : v / (mode === 'recall' ? view.rows[t] : view.cols[p]);
}

/** A value as text, the most exact first: '12,345' or '12k', '97.3 %' or '97 %' or '97'; a difference has its
 * sign, and is in points.
 * @type {(v: number, mode: Mode, signed: boolean) => string[]} */
export function cellTexts(v, mode, signed) {
  const x = Math.abs(v), sign = !signed ? '' : v > 0 ? '+' : '−', short = x < 0.01 ? '<1' : fixed(100 * x, 0);
  if (mode === 'counts')
    return [number(x), ...(x < 10000 ? [] : [`${Math.round(x / 1000)}k`])].map(text => sign + text);
  const exact = fixed(100 * x, 1);
  return signed ? [sign + exact, sign + short] : [`${exact} %`, `${short} %`, short];
}

/** A scene of one run, or of the difference a − b; diagonal and errors on scales of their own. A scale spans
 * at least `span`, a share of a class: what chance does in the test must not look like white and navy.
 * @type {(C: number, mode: Mode, a: Counted, b: Counted | null, span?: number) => Scene} */
export function scene(C, mode, a, b, span = 0) {
  const floor = C > 40 ? 0.3 : 0.2, values = new Float64Array(C * C), signed = Boolean(b);
  const least = mode === 'counts' ? Math.ceil(span * a.n / C) : span;
  let top = 0, err = 0;
  for (let t = 0, k = 0; t < C; t++) for (let p = 0; p < C; p++, k++) {
    values[k] = cellValue(a, C, mode, t, p) - (b ? cellValue(b, C, mode, t, p) : 0);
    if (t === p) top = Math.max(top, Math.abs(values[k])); else err = Math.max(err, Math.abs(values[k]));
  }
  if (top) top = !b && mode !== 'counts' ? 1 : Math.max(top, least);
  if (err) err = Math.max(err, least);
  /** @type {Scene['shade']} */
  const shade = (v, max, wrong) => {
    const x = Math.abs(v) / max, single = wrong ? 'wrong' : 'right', better = wrong ? v < 0 : v > 0;
    const share = floor + (1 - floor) * (wrong || b ? Math.sqrt(x) : x);
    return ramps[!b ? single : better ? 'better' : 'worse'][Math.round(100 * share)];
  };
  return {
    top, err, shade, signed,
    paint(t, p) {
      const v = values[t * C + p];
      return v ? shade(v, t === p ? top : err, t !== p) : null;
    },
    texts: (t, p) => cellTexts(values[t * C + p], mode, signed),
  };
}
