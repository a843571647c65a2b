// Tab 'Class': the figures of a class in sentences, then the threshold.
import { html, svg } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { classFigures } from './counts.js';
import { runName } from './runs.js';
import { colours } from '../common/colours.js';
import { busy, failure, link, messageOf, name, note, select } from '../common/parts.js';
import { number, percent, plural, range } from '../common/text.js';

const HIGHER = 'A higher threshold finds fewer photos and makes fewer mistakes. Each photo is judged for '
  + 'this class alone, so the figures differ from the table above, where the most probable class counts.';

/** @type {(ex: Explorer) => Panel} */
export function classTab(ex) {
  const { s: { cls }, names, shown, act } = ex;
  const options = names.map((text, c) => /** @type {Option} */ ([c, text]))
    .sort((a, b) => a[1].localeCompare(b[1], undefined, { numeric: true }));
  if (!shown) return { view: () => '' };
  const figures = classFigures(ex, shown, cls), threshold = thresholdOf(ex, shown, cls, figures.support);
  const words = `${runName(ex, shown.run)}, epoch ${shown.epoch + 1}; ranges are 95 % intervals${
    ex.groups ? ', by groups of photos that belong together' : ''}.`;
  return { view: () => html`${select('class', options, ex.s.cls, v => act.openClass(Number(v)))}
    <div>${note(words)}${figuresTable(ex, figures, cls)}<h3>When to call a photo ${name(names[cls], 40)}</h3>
      <div class="ic-curve">${threshold()}</div></div>` };
}

/** @type {(ex: Explorer, f: ClassFigures, c: number) => Html} */
function figuresTable(ex, f, c) {
  const it = () => name(ex.names[c], 40), called = f.tp + f.fp;
  /** @type {(n: number) => string} */
  const photos = n => plural(n, 'photo');
  /** @type {(n: number) => string} */
  const were = n => (n === 1 ? 'was' : 'were');
  /** @type {(kind: 'fn' | 'fp') => unknown} */
  const see = kind => (f[kind] ? link('see them', () => ex.act.pick({ kind, t: c })) : '');
  /** @type {(label: string, title: string, value: string, range: string, words: unknown) => Html} */
  const row = (label, title, value, range, words) => html`<tr title=${title}><th scope="row">${label}</th>
    <td class="ic-figure">${value}${range && html`<div class="ic-note">${range}</div>`}</td>
    <td>${words}</td></tr>`;
  const rows = [
    row('TP', 'true positives', number(f.tp), '', html`${photos(f.tp)} of ${it()} ${were(f.tp)} found.`),
    row('FN', 'false negatives', number(f.fn), '',
      html`${photos(f.fn)} of ${it()} ${were(f.fn)} missed. ${see('fn')}`),
    row('FP', 'false positives', number(f.fp), '',
      html`${photos(f.fp)} of other classes ${were(f.fp)} mistaken for ${it()}. ${see('fp')}`),
    row('TN', 'true negatives', number(f.tn), '',
      html`${photos(f.tn)} of other classes ${were(f.tn)} rightly not called ${it()}.`),
    row('Precision', 'TP / (TP + FP), with its 95 % interval', percent(f.precision),
      range(f.precisionInterval), called ? html`Of the ${photos(called)} called ${it()}, ${number(f.tp)} are
      it.`
        : html`No photo was called ${it()}.`),
    row('Recall', 'TP / (TP + FN), with its 95 % interval', percent(f.recall), range(f.recallInterval),
      f.support ? html`Of the ${photos(f.support)} of ${it()}, ${number(f.tp)} were found.`
        : html`The test set has no photo of ${it()}.`),
    row('F1', 'harmonic mean of precision and recall; a mean of two shares has no such interval',
      percent(f.f1), '', 'Precision and recall in one figure; high only if both are.'),
    row('Support', 'test photos of this class', number(f.support), '',
      html`Test photos of ${it()}: ${percent(f.support / ex.n)} of all.`),
  ];
  return html`<table class="ic-table"><tbody>${rows}</tbody></table>`;
}

/** Threshold slider and precision-recall curve of class c against the rest, when they have come; what is
 * returned shows them.
 * @type {(ex: Explorer, view: View, c: number, support: number) => () => Html} */
function thresholdOf(ex, view, c, support) {
  const { host, act } = ex;
  let shown = () => busy();
  host.pr(view.run, view.epoch, c).then(pr => { shown = () => threshold(ex, pr, support); },
    error => { shown = () => failure(messageOf(error)); }).then(() => { if (!ex.dead) act.update(); });
  return () => shown();
}

/** @type {(ex: Explorer, pr: Counts, support: number) => Html} */
function threshold({ s, act }, pr, support) {
  const precision = pr.tp.map((tp, t) => tp / (tp + pr.fp[t])), recall = pr.tp.map(tp => tp / support);
  const t = s.threshold, tp = pr.tp[t], fp = pr.fp[t];
  /** @type {(event: Chosen) => void} */
  const slide = event => { s.threshold = Number(event.target.value); act.update(); };
  return html`<label class="ic-field"><span>when its probability is at least</span><span class="ic-epoch-row">
    <input type="range" min="0" max="100" step="1" aria-valuetext="${t} per cent" .value=${live(String(t))}
      @input=${slide}><output class="ic-epoch-text">${t} %</output></span></label>
    <p aria-live="polite">Found: <strong>${number(tp)} of ${number(support)}</strong>
      (recall ${percent(recall[t])}). False: <strong>${number(fp)}</strong> of ${number(tp + fp)}
      called it (precision ${percent(precision[t])}).</p>
    ${curve(precision, recall, t)}${note(HIGHER)}`;
}

/** Precision-recall curve with a dot at threshold t.
 * @type {(precision: number[], recall: number[], t: number) => Html} */
function curve(precision, recall, t) {
  /** @type {(r: number) => number} */
  const X = r => 40 + 250 * r;
  /** @type {(p: number) => number} */
  const Y = p => 160 - 145 * p;
  const says = `precision ${percent(precision[t])}, recall ${percent(recall[t])}`;
  /** @type {(point: number[]) => boolean} */
  const known = point => point.every(Number.isFinite);
  const lines = [0, 0.5, 1].map(v => svg`
    <line stroke=${colours.line} x1="40" x2="290" y1=${Y(v)} y2=${Y(v)} />
    <text x="34" y=${Y(v) + 4} text-anchor="end">${100 * v} %</text>
    <line stroke=${colours.line} x1=${X(v)} x2=${X(v)} y1="15" y2="160" />
    <text x=${X(v)} y="175" text-anchor="middle">${100 * v} %</text>`);
  const points = recall.map((r, k) => [r, precision[k]]).filter(known)
    .map(([r, p]) => `${X(r).toFixed(1)},${Y(p).toFixed(1)}`).join(' ');
  const dot = known([recall[t], precision[t]]) ? svg`<circle r="5" fill=${colours.wrong}
    stroke=${colours.paper} stroke-width="1.5" cx=${X(recall[t])} cy=${Y(precision[t])} />` : '';
  return html`<svg viewBox="0 0 312 200" class="ic-pr" role="img"
    aria-label="precision-recall curve; at ${t} %: ${says}">${lines}
    <polyline points=${points} fill="none" stroke=${colours.accent} stroke-width="2" />
    <text x="165" y="194" text-anchor="middle">recall</text><text x="44" y="11">precision</text>${dot}</svg>`;
}