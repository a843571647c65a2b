// Tab 'Lists': most confused pairs, surest errors, most unsure photos.
import { html } from 'lit-html';
import { byConfidence, confusedPairs, where } from './counts.js';
import { galleryOf, tiles } from './photos.js';
import { link, name, note, segment, table } from '../common/parts.js';
import { number, percent, plural } from '../common/text.js';

/** @type {Option[]} */
const LISTS = [['pairs', 'most confused'], ['worst', 'surest errors'], ['unsure', 'most unsure']];
const WORST = 'The errors the model is surest of: look here for wrong labels, '
  + 'and for photos that show something else.';
const UNSURE = 'Photos whose most probable class has the lowest probability, right or wrong.';

/** @type {(ex: Explorer) => Panel} */
export function listsTab(ex) {
  const { s, shown, act } = ex, fill = s.list === 'pairs' ? pairs : photos, box = shown && fill(ex, shown);
  /** @type {(list: string) => void} */
  const choose = list => { s.list = list; act.fill(); };
  return { view: () => html`${segment('which list', LISTS, s.list, choose)}<div>${box?.()}</div>` };
}

/** @type {(ex: Explorer, view: View) => () => unknown} */
function photos(ex, view) {
  const { C, n, targets, s } = ex, worst = s.list === 'worst', { pred } = view;
  const there = where(n, i => pred[i] < C && (!worst || pred[i] !== targets[i]));
  const ids = byConfidence(there, view.conf, !worst);
  const gallery = galleryOf(ex, ids, view, worst ? 'surest errors' : 'most unsure photos');
  return () => html`${tiles(ex, gallery, !ids.length ? 'No such photo.' : worst ? WORST : UNSURE)}`;
}

/** The 30 most confused pairs as a table; a click chooses the cell.
 * @type {(ex: Explorer, view: View) => () => unknown} */
function pairs(ex, view) {
  const { C, names } = ex, cells = confusedPairs(view, C);
  if (!cells.length) return () => html`<p class="ic-empty">No two classes are confused.</p>`;
  const rows = cells.slice(0, 30).map(k => {
    const t = Math.floor(k / C), p = k % C;
    const pair = html`${name(names[t], 40)} → ${name(names[p], 40)}`;
    return html`<tr><td>${link(pair, () => ex.act.pick({ kind: 'cell', t, p }))}</td>
      <td class="ic-figure">${number(view.counts[k])}</td>
      <td class="ic-figure">${percent(view.counts[k] / view.rows[t])}</td></tr>`;
  });
  return () => html`<div>${table(['true → predicted', 'photos', 'of the true'], rows)}${
    cells.length > 30 ? note(`30 of ${plural(cells.length, 'pair')}.`) : ''}</div>`;
}
