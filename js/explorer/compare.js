// Tab 'Compare': two runs on the same photos.
import { html } from 'lit-html';
import { accuracyRange, byConfidence, where } from './counts.js';
import { galleryOf, tiles } from './photos.js';
import { runName } from './runs.js';
import { difference } from './stats.js';
import { name, segment, table } from '../common/parts.js';
import { fixed, number, percent, plural, signed } from '../common/text.js';

/** Accuracies, what was mended and broken, and whether that is more than chance.
 * @type {(ex: Explorer) => Panel} */
export function compareTab(ex) {
  const { a, b, s, n, targets } = ex;
  if (!a || !b) return { view: () => '' };
  const moved = {
    mended: where(n, i => a.pred[i] === targets[i] && b.pred[i] !== targets[i]),
    broken: where(n, i => a.pred[i] !== targets[i] && b.pred[i] === targets[i]),
  };
  const points = 100 * (a.right - b.right) / n, said = verdict(ex, a, b);
  const gap = `${fixed(Math.abs(points), 1)} points ${points < 0 ? 'less' : 'more'}`;
  const both = () => galleryOf(ex, byConfidence(moved[s.moved], a.conf), a, s.moved, 'both');
  let gallery = both();
  /** @type {(v: string) => void} */
  const choose = v => { s.moved = v === 'mended' ? 'mended' : 'broken'; gallery = both(); ex.act.update(); };
  const heading = () => (s.moved === 'mended' ? 'Mended: ' : 'Broken: ')
    + plural(gallery.ids.length, 'photo');
  return {
    view: () => html`
      ${table(['run', 'accuracy', '95 % interval'], [row(ex, 'this', a), row(ex, 'other', b)])}
      <p>This run is ${points ? gap : 'exactly as'} accurate: of the other’s errors it mends
        <strong>${plural(moved.mended.length, 'photo')}</strong>, and it breaks
        <strong>${number(moved.broken.length)}</strong> that the other has right. ${said}</p>
      <p class="ic-note">This run is taken at the epoch of the slider, the other at its last.</p>
      ${segment('which photos', [['mended', 'mended'], ['broken', 'broken']], s.moved, choose)}
      <div><h3>${heading()}</h3>${tiles(ex, gallery)}</div>`,
  };
}

/** @type {(ex: Explorer, label: string, view: View) => Html} */
const row = (ex, label, view) => html`<tr>
  <th scope="row">${label}: ${name(runName(ex, view.run))}, epoch ${view.epoch + 1}</th>
  <td class="ic-figure">${percent(view.right / view.n)}</td><td
    class="ic-figure">${accuracyRange(ex, view)}</td></tr>`;

/** 'p = 0.003'. @type {(p: number) => string} */
const pWords = p => (p < 0.001 ? 'p < 0.001' : `p = ${fixed(p, p < 0.1 ? 3 : 2)}`);

/** Is the difference more than chance? Tested after the last epoch only, because who tries every epoch finds
 * something; and p is multiplied by the number of pairs of runs (Bonferroni), because any of them can be
 * chosen here. The answer speaks of these two classifiers on other test photos; what other draws of training
 * photos would do, a study of several seeds says.
 * @type {(ex: Explorer, a: View, b: View) => unknown} */
function verdict({ data: { runs }, s, n, targets, groups }, a, b) {
  const pairs = runs.length * (runs.length - 1) / 2;
  /** @type {(i: number) => number} */
  const gain = i => Number(a.pred[i] === targets[i]) - Number(b.pred[i] === targets[i]);
  if (!where(n, gain).length) return 'Both runs are right and wrong on the same photos.';
  if (s.epoch < runs[s.run].epochs - 1)
    return 'These are counts: whether runs differ by more than chance is tested after the last epoch only.';
  const d = difference(n, gain, groups), p = Math.min(1, pairs * d.p);
  const words = `${pWords(p)}${pairs > 1 ? ` after correction for ${number(pairs)} pairs of runs` : ''}`;
  const test = groups ? 'Student’s t over groups of photos that belong together'
    : 'McNemar’s exact test, on the photos that only one run has right';
  const said = p < 0.05 ? `On other test photos they would differ in the same direction (${words}).`
    : `This could be chance (${words}).`;
  const by = groups ? `, by ${number(new Set(groups).size)} groups of test photos that belong together` : '';
  return html`The 95 % interval of the difference is ${signed(d.low)} to ${signed(d.high)} points.
    <span title="${test}, two-sided, with Bonferroni’s correction">${said}</span>
    This compares these two classifiers${by}; the luck of the draw of training photos is not in it.`;
}
