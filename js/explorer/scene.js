// What the matrix shows: colour and text of each cell, of one run or of the difference of two.
import { ramps } from '../common/colours.js';
import { fixed, number } from '../common/text.js';

/** Value of a cell: count, share of the row (recall) or share of the column (precision).
 * @type {(view: Counted, C: number, mode: Mode, t: number, p: number) => number} */
export function cellValue(view, C, mode, t, p) {
  const v = view.counts[t * C + p];
  return mode === 'counts' || !v ? v : v / (mode === 'recall' ? view.rows[t] : view.cols[p]);
}

/** Text of a value: '1,234' or '97' (per cent), with its sign in a difference.
 * @type {(v: number, mode: Mode, signed: boolean, wide: boolean) => string} */
export function cellText(v, mode, signed, wide) {
  const x = Math.abs(v), sign = !signed ? '' : v > 0 ? '+' : '−';
  if (mode === 'counts') return sign + (x >= 10000 && !wide ? `${Math.round(x / 1000)}k` : number(x));
  return sign + (x < 0.01 && !wide ? '<1' : fixed(100 * x, wide ? 1 : 0));
}

/** A scene of one run, or of the difference a − b; diagonal and errors on scales of their own.
 * @type {(C: number, mode: Mode, a: Counted, b: Counted | null) => Scene} */
export function scene(C, mode, a, b) {
  const floor = C > 40 ? 0.3 : 0.2, values = new Float64Array(C * C), signed = Boolean(b);
  let top = 0, err = 0;
  for (let t = 0, k = 0; t < C; t++) for (let p = 0; p < C; p++, k++) {
    values[k] = cellValue(a, C, mode, t, p) - (b ? cellValue(b, C, mode, t, p) : 0);
    if (t === p) top = Math.max(top, Math.abs(values[k])); else err = Math.max(err, Math.abs(values[k]));
  }
  if (!b && mode !== 'counts') top = 1;
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
    text(t, p, wide) {
      const v = values[t * C + p];
      return v ? cellText(v, mode, signed, wide) : wide ? '0' : '';
    },
  };
}
