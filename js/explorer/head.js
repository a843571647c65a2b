// Title and one row of choices: run, epoch, what the numbers are, what can be saved.
import { html } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { exportMenu } from './export.js';
import { runName } from './runs.js';
import { segment, select } from '../common/parts.js';
import { percent } from '../common/text.js';

/** @type {Option[]} */
const MODES = [['counts', 'counts', 'photos in each cell'],
  ['recall', 'recall', 'rows: share of the true class, each row adds up to 100 %'],
  ['precision', 'precision', 'columns: share of what was predicted, each column adds up to 100 %']];
/** @type {Option[]} */
const WHICHES = [['this', 'this run'], ['other', 'other run'],
  ['diff', 'difference', 'this run minus the other']];

/** @type {(ex: Explorer) => Html} */
export const head = ex => {
  const { s, data, act } = ex;
  const mode = segment('what the numbers are', MODES, s.mode, v => { s.mode = v; act.redraw(); });
  return html`
    <h2 dir="auto" class=${data.headed ? 'ic-hidden' : ''}>${data.title}</h2>
    <div class="ic-controls">${data.runs.length > 1 ? choices(ex) : ''}${epochs(ex)}${mode}${
      ex.C > 2 ? together(ex) : ''}${exportMenu(ex)}</div>`;
};

/** Which run the matrix shows, where two are compared. @type {(ex: Explorer) => unknown} */
export const which = ({ s, act }) => (s.other < 0 ? ''
  : segment('which run the matrix shows', WHICHES, s.which, v => { s.which = v; act.count(); }));

/** Which run, and which to compare with. @type {(ex: Explorer) => Html[]} */
function choices(ex) {
  const { s, data: { runs } } = ex, names = runs.map((_, i) => /** @type {Option} */ ([i, runName(ex, i)]));
  return [
    select('run', names, s.run, v => chooseRun(ex, Number(v))),
    select('compare with', [[-1, 'none'], ...names.filter(([i]) => i !== s.run)], s.other,
      v => compareWith(ex, Number(v))),
  ];
}

/** @type {(ex: Explorer) => Html} */
function together({ s, act }) {
  /** @type {(event: Checked) => void} */
  const change = event => { s.together = event.target.checked; act.reorder(); };
  return html`<label class="ic-check"
    title="classes that are taken for each other stand together; off: alphabetical">
    <input type="checkbox" .checked=${live(s.together)} @change=${change}>confused together</label>`;
}

/** Epoch slider with its number and a play button. @type {(ex: Explorer) => Html} */
function epochs(ex) {
  const { s, a, playing } = ex, all = ex.data.runs[s.run].epochs, from = ex.loaded[s.run]?.from || 0;
  const words = `${s.epoch + 1} of ${all}`, accuracy = a ? `, accuracy ${percent(a.right / a.n)}` : '';
  /** @type {(event: Chosen) => void} */
  const slide = event => { s.epoch = Number(event.target.value) - 1; play(ex, false); ex.act.show(200); };
  const title = playing ? 'stop at this epoch' : 'watch the matrix learn, epoch by epoch';
  const wait = from > 0; // until the other epochs are here
  return html`<div class="ic-field" ?hidden=${all < 2}><span>epoch</span><span class="ic-epoch-row">
    <button type="button" class="ic-play" title=${title} ?disabled=${wait}
      @click=${() => play(ex, !ex.playing)}>${playing ? 'stop' : 'play'}</button>
    <input type="range" min=${from + 1} max=${all} step="1" aria-label="epoch"
      aria-valuetext=${words + accuracy} .value=${live(String(s.epoch + 1))} ?disabled=${wait}
    @input=${slide}> <output class="ic-epoch-text">${words}</output></span></div>`;
}

/** Start or stop the walk through the epochs; at the end it starts over.
 * @type {(ex: Explorer, on: boolean) => void} */
function play(ex, on) {
  const { s, act } = ex, last = ex.data.runs[s.run].epochs - 1;
  clearInterval(ex.playing);
  /** @type {(epoch: number) => void} */
  const to = epoch => { s.epoch = epoch; act.show(200); };
  ex.playing = on ? window.setInterval(() => (s.epoch >= last ? play(ex, false) : to(s.epoch + 1)), 700) : 0;
  if (on && s.epoch >= last) to(0); else act.update();
}

/** Show another run, at the same epoch where it has one (at its last if the last was shown).
 * @type {(ex: Explorer, i: number) => void} */
function chooseRun(ex, i) {
  const { s, data: { runs } } = ex, end = runs[i].epochs - 1, atEnd = s.epoch === runs[s.run].epochs - 1;
  play(ex, false);
  s.epoch = atEnd ? end : Math.min(s.epoch, end);
  if (s.other === i) s.other = s.run;
  s.run = i;
  ex.act.show();
}

/** Compare with run i (-1: none). @type {(ex: Explorer, i: number) => void} */
function compareWith(ex, i) {
  const { s } = ex;
  Object.assign(s, { other: i, which: 'this' });
  if (i >= 0) s.tab = 'compare';
  else if (s.tab === 'compare') s.tab = 'photos';
  ex.act.show();
}
