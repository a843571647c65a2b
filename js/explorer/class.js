// Tab 'Class': recall and precision of a class first, then all counts and the threshold, folded.
import { html, svg } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { classFigures } from './counts.js';
import { runName } from './runs.js';
import { colours } from '../common/colours.js';
import { busy, failure, link, messageOf, name, note, select } from '../common/parts.js';
import { number, percent, plural, range } from '../common/text.js';

const HIGHER = 'A higher threshold finds fewer photos and makes fewer mistakes. Each photo is judged for '
  + 'this class alone, so the figures differ from the table above, where the most probable class counts.';

/** The class of the chosen cell. @type {(ex: Explorer) => Panel} */
export function classTab(ex) {
  const { s: { cls }, names, shown, act } = ex;
  const options = names.map((text, c) => /** @type {Option} */ ([c, text]))
    .sort((a, b) => a[1].localeCompare(b[1], undefined, { numeric: true }));
  if (!shown) return { view: () => '' };
  const figures = classFigures(ex, shown, cls), threshold = thresholdOf(ex, shown, cls, figures.support);
  const words = `${runName(ex, shown.run)}, epoch ${shown.epoch + 1}; ranges are 95 % intervals${
    ex.groups ? ', by groups of photos that belong together' : ''}.`;
  return { view: () => html`${select('class', options, ex.s.cls, v => act.openClass(Number(v)))}
    ${shares(ex, figures, cls)}${note(words)}
    <details><summary>All counts, and F1</summary>${counts(ex, figures, cls)}</details>
    <details @toggle=${threshold.open}>
      <summary>When to call a photo ${name(names[cls], 40)}: the threshold</summary>
      <div class="ic-curve">${threshold.view()}</div></details>` };
}

/** Recall and precision, each with its interval, in a sentence.
 * @type {(ex: Explorer, f: ClassFigures, c: number) => Html} */
function shares(ex, f, c) {
  const it = () => name(ex.names[c], 40), called = f.tp + f.fp;
  /** @type {(kind: 'fn' | 'fp', text: string) => unknown} */
  const see = (kind, text) => (f[kind] ? html` ${link(text, () => ex.act.pick({ kind, t: c }))}` : '');
  /** @type {(label: string, title: string, share: number, interval: Interval, words: unknown) => Html} */
  const one = (label, title, share, interval, words) => html`<div title=${title}><dt>${label}</dt>
    <dd><strong>${percent(share)}</strong> <span class="ic-note">${range(interval)}</span>
      <p>${words}</p></dd></div>`;
  return html`<dl class="ic-shares">${
    one('Recall', 'TP / (TP + FN), with its 95 % interval', f.recall, f.recallInterval,
      f.support ? html`Of the ${plural(f.support, 'photo')} of ${it()}, ${number(f.tp)} were found.${
        see('fn', `See the ${number(f.fn)} missed`)}` : html`The test set has no photo of ${it()}.`)}${
    one('Precision', 'TP / (TP + FP), with its 95 % interval', f.precision, f.precisionInterval,
      called ? html`Of the ${plural(called, 'photo')} called ${it()}, ${number(f.tp)} are it.${
        see('fp', `See the ${number(f.fp)} others`)}` : html`No photo was called ${it()}.`)}</dl>`;
}

/** @type {(ex: Explorer, f: ClassFigures, c: number) => Html} */
function counts(ex, f, c) {
  const it = () => name(ex.names[c], 40);
  /** @type {(label: string, value: string, words: unknown) => Html} */
  const row = (label, value, words) => html`<tr><th scope="row">${label}</th>
    <td class="ic-figure">${value}</td><td>${words}</td></tr>`;
  return html`<table class="ic-table"><tbody>${[
    row('TP', number(f.tp), html`true positives: photos of ${it()} that were found`),
    row('FN', number(f.fn), html`false negatives: photos of ${it()} that were missed`),
    row('FP', number(f.fp), html`false positives: others that were taken for ${it()}`),
    row('TN', number(f.tn), html`true negatives: others that were rightly not called ${it()}`),
    row('F1', percent(f.f1), 'harmonic mean of precision and recall: high only if both are'),
    row('Support', number(f.support), html`test photos of ${it()}: ${percent(f.support / ex.n)} of all`),
  ]}</tbody></table>`;
}

/** Threshold slider and precision-recall curve of class c against the rest: fetched when somebody opens them.
 * @type {(ex: Explorer, view: View, c: number, support: number) => { open: (event: Event) => void,
 *   view: () => Html }} */
function thresholdOf(ex, view, c, support) {
  const { host, act } = ex;
  let shown = () => busy(), asked = false;
  const ask = async () => {
    asked = true;
    try {
      const pr = await host.pr(view.run, view.epoch, c);
      shown = () => threshold(ex, pr, support);
    } catch (error) { shown = () => failure(messageOf(error)); }
    act.update();
  };
  return {
    open: ({ target }) => {
      ex.s.folded = !(/** @type {HTMLDetailsElement} */ (target).open);
      if (!ex.s.folded && !asked) ask();
    },
    view: () => {
      if (!ex.s.folded && !asked) ask();
      return shown();
    },
  };
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