// Tab 'Class': recall and precision of a class first, then all counts and the threshold, folded. Tab 'Lists':
// most confused pairs, surest errors, most unsure photos. Tab 'Compare': two runs on the same photos.
import { html, svg } from 'lit-html';
import { accuracyRange, byConfidence, byName, classFigures, confusedPairs, where } from './counts.js';
import { galleryOf, tiles } from './photos.js';
import { difference } from './stats.js';
import { colours } from '../common/colours.js';
import { later, link, name, note, segment, select, slider, table } from '../common/parts.js';
import { fixed, number, percent, plural, range, signed } from '../common/text.js';

const HIGHER = 'A higher threshold finds fewer photos and makes fewer mistakes. Each photo is judged for '
  + 'this class alone, so the figures differ from the table above, where the most probable class counts.';

/** The class of the chosen cell; its threshold is fetched when somebody opens it.
 * @type {(ex: Explorer) => Panel} */
export function classTab(ex) {
  const { s, names, shown, act, host } = ex, c = s.cls;
  if (!shown) return () => '';
  const options = byName(names).map(c => /** @type {Option} */ ([c, names[c]]));
  const f = classFigures(ex, shown, c), ask = () => host.pr(shown.run, shown.epoch, c);
  const curve = later(ask, pr => () => threshold(ex, pr, f.support), act.update);
  const words = `${ex.data.runs[shown.run].name}, epoch ${shown.epoch + 1}; ranges are 95 % intervals${
    ex.groups ? ', by groups of photos that belong together' : ''}.`;
  /** @type {(event: Event & { target: HTMLDetailsElement }) => void} */
  const fold = ({ target }) => { s.folded = !target.open; act.update(); };
  return () => html`${select('class', options, s.cls, v => act.openClass(Number(v)))}
    ${shares(ex, f, c)}${note(words)}
    <details><summary>All counts, and F1</summary>${counts(ex, f, c)}</details>
    <details @toggle=${fold}><summary>When to call a photo ${name(names[c], 40)}: the threshold</summary>
      <div class="ic-curve">${s.folded ? '' : curve()}</div></details>`;
}

/** Recall and precision, each with its interval, in a sentence.
 * @type {(ex: Explorer, f: ClassFigures, c: number) => Html} */
function shares({ names, act }, f, c) {
  const it = name(names[c], 40), called = f.tp + f.fp;
  /** @type {(kind: 'fn' | 'fp', text: string) => unknown} */
  const see = (kind, text) => (f[kind] ? html` ${link(text, () => act.pick({ kind, t: c }))}` : '');
  /** @type {(label: string, title: string, share: number, interval: Interval, words: unknown) => Html} */
  const one = (label, title, share, interval, words) => html`<div title=${title}><dt>${label}</dt>
    <dd><strong>${percent(share)}</strong> <span class="ic-note">${range(interval)}</span>
      <p>${words}</p></dd></div>`;
  return html`<dl class="ic-shares">${
    one('Recall', 'TP / (TP + FN), with its 95 % interval', f.recall, f.recallInterval,
      f.support ? html`Of the ${plural(f.support, 'photo')} of ${it}, ${number(f.tp)} were found.${
        see('fn', `See the ${number(f.fn)} missed`)}` : html`The test set has no photo of ${it}.`)}${
    one('Precision', 'TP / (TP + FP), with its 95 % interval', f.precision, f.precisionInterval,
      called ? html`Of the ${plural(called, 'photo')} called ${it}, ${number(f.tp)} are it.${
        see('fp', `See the ${number(f.fp)} others`)}` : html`No photo was called ${it}.`)}</dl>`;
}

/** @type {(ex: Explorer, f: ClassFigures, c: number) => Html} */
function counts({ names, n }, f, c) {
  const it = name(names[c], 40);
  /** @type {[string, string, unknown][]} */
  const rows = [['TP', number(f.tp), html`true positives: photos of ${it} that were found`],
    ['FN', number(f.fn), html`false negatives: photos of ${it} that were missed`],
    ['FP', number(f.fp), html`false positives: others that were taken for ${it}`],
    ['TN', number(f.tn), html`true negatives: others that were rightly not called ${it}`],
    ['F1', percent(f.f1), 'harmonic mean of precision and recall: high only if both are'],
    ['Support', number(f.support), html`test photos of ${it}: ${percent(f.support / n)} of all`]];
  const all = rows.map(([label, value, words]) =>
    html`<tr><th scope="row">${label}</th><td class="ic-figure">${value}</td><td>${words}</td></tr>`);
  return html`<table class="ic-table"><tbody>${all}</tbody></table>`;
}

/** Threshold slider and precision-recall curve of a class against the rest.
 * @type {(ex: Explorer, pr: Counts, support: number) => Html} */
function threshold({ s, act }, pr, support) {
  const precision = pr.tp.map((tp, t) => tp / (tp + pr.fp[t])), recall = pr.tp.map(tp => tp / support);
  const t = s.threshold, tp = pr.tp[t], fp = pr.fp[t];
  return html`<label class="ic-field"><span>when its probability is at least</span><span class="ic-epoch-row">
      ${slider(t, v => { s.threshold = v; act.update(); }, { min: 0, max: 100, says: `${t} per cent` })}
      <output class="ic-epoch-text">${t} %</output></span></label>
    <p aria-live="polite">Found: <strong>${number(tp)} of ${number(support)}</strong>
      (recall ${percent(recall[t])}). False: <strong>${number(fp)}</strong> of ${number(tp + fp)}
      called it (precision ${percent(precision[t])}).</p>
    ${curve(precision, recall, t)}${note(HIGHER)}`;
}

/** Precision-recall curve with a dot at threshold t.
 * @type {(precision: number[], recall: number[], t: number) => Html} */
function curve(precision, recall, t) {
  const X = (/** @type {number} */ r) => 40 + 250 * r, Y = (/** @type {number} */ p) => 160 - 145 * p;
  const places = recall.map((r, k) => (Number.isFinite(r + precision[k]) ? [X(r), Y(precision[k])] : null));
  const says = `precision ${percent(precision[t])}, recall ${percent(recall[t])}`, dot = places[t];
  const lines = [0, 0.5, 1].map(v => svg`
    <line stroke=${colours.line} x1="40" x2="290" y1=${Y(v)} y2=${Y(v)} />
    <text x="34" y=${Y(v) + 4} text-anchor="end">${100 * v} %</text>
    <line stroke=${colours.line} x1=${X(v)} x2=${X(v)} y1="15" y2="160" />
    <text x=${X(v)} y="175" text-anchor="middle">${100 * v} %</text>`);
  return html`<svg viewBox="0 0 312 200" class="ic-pr" role="img"
    aria-label="precision-recall curve; at ${t} %: ${says}">${lines}
    <polyline stroke=${colours.accent} points=${places.filter(Boolean).join(' ')} />
    <text x="165" y="194" text-anchor="middle">recall</text><text x="44" y="11">precision</text>${dot
      && svg`<circle r="5" fill=${colours.wrong} stroke=${colours.paper} stroke-width="1.5" cx=${dot[0]}
        cy=${dot[1]} />`}</svg>`;
}

/** @type {Option[]} */
const LISTS = [['pairs', 'most confused'], ['worst', 'surest errors'], ['unsure', 'most unsure']];
const WORST = 'The errors the model is surest of: look here for wrong labels, '
  + 'and for photos that show something else.';
const UNSURE = 'Photos whose most probable class has the lowest probability, right or wrong.';

/** @type {(ex: Explorer) => Panel} */
export function listsTab(ex) {
  const { s, shown, act } = ex, box = shown && (s.list === 'pairs' ? pairs : photos)(ex, shown);
  return () => html`${segment('which list', LISTS, s.list, list => { s.list = list; act.fill(); })}
    <div>${box?.()}</div>`;
}

/** @type {(ex: Explorer, view: View) => Panel} */
function photos(ex, view) {
  const { C, n, targets, s } = ex, worst = s.list === 'worst', { pred } = view;
  const there = where(n, i => pred[i] < C && (!worst || pred[i] !== targets[i]));
  const ids = byConfidence(there, view.conf, !worst);
  const gallery = galleryOf(ex, ids, view, worst ? 'surest errors' : 'most unsure photos');
  return () => tiles(ex, gallery, !ids.length ? 'No such photo.' : worst ? WORST : UNSURE);
}

/** The 30 most confused pairs as a table; a click chooses the cell.
 * @type {(ex: Explorer, view: View) => Panel} */
function pairs(ex, view) {
  const { C, names, act } = ex, cells = confusedPairs(view, C);
  if (!cells.length) return () => html`<p class="ic-empty">No two classes are confused.</p>`;
  const rows = cells.slice(0, 30).map(({ t, p, n }) => html`<tr><td>${
    link(html`${name(names[t], 40)} → ${name(names[p], 40)}`, () => act.pick({ kind: 'cell', t, p }))}</td>
    <td class="ic-figure">${number(n)}</td><td class="ic-figure">${percent(n / view.rows[t])}</td></tr>`);
  return () => html`${table(['true → predicted', 'photos', 'of the true'], rows)}${
    cells.length > 30 ? note(`30 of ${plural(cells.length, 'pair')}.`) : ''}`;
}

/** Accuracies, what was mended and broken, and whether that is more than chance.
 * @type {(ex: Explorer) => Panel} */
export function compareTab(ex) {
  const { a, b, s, n, targets } = ex;
  if (!a || !b) return () => '';
  /** @type {(view: View, other: View) => number[]} */
  const only = (view, other) => where(n, i => view.pred[i] === targets[i] && other.pred[i] !== targets[i]);
  const moved = { mended: only(a, b), broken: only(b, a) }, ids = moved[s.moved];
  const points = 100 * (a.right - b.right) / n, said = verdict(ex, a, b);
  const gap = `${fixed(Math.abs(points), 1)} points ${points < 0 ? 'less' : 'more'}`;
  const gallery = galleryOf(ex, byConfidence(ids, a.conf), a, s.moved, 'both');
  /** @type {(v: string) => void} */
  const choose = v => { s.moved = v === 'mended' ? 'mended' : 'broken'; ex.act.fill(); };
  const heading = `${s.moved === 'mended' ? 'Mended' : 'Broken'}: ${plural(ids.length, 'photo')}`;
  return () => html`${table(['run', 'accuracy', '95 % interval'], [row(ex, 'this', a), row(ex, 'other', b)])}
    <p>This run is ${points ? gap : 'exactly as'} accurate: of the other’s errors it mends
      <strong>${plural(moved.mended.length, 'photo')}</strong>, and it breaks
      <strong>${number(moved.broken.length)}</strong> that the other has right. ${said}</p>
    ${note('This run is taken at the epoch of the slider, the other at its last.')}
    ${segment('which photos', [['mended', 'mended'], ['broken', 'broken']], s.moved, choose)}
    <div><h3>${heading}</h3>${tiles(ex, gallery)}</div>`;
}

/** @type {(ex: Explorer, label: string, view: View) => Html} */
const row = (ex, label, view) => html`<tr>
  <th scope="row">${label}: ${name(ex.data.runs[view.run].name)}, epoch ${view.epoch + 1}</th>
  <td class="ic-figure">${percent(view.right / view.n)}</td>
  <td class="ic-figure">${accuracyRange(ex, view)}</td></tr>`;

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
