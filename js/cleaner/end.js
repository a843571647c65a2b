// What was decided, and what comes next.
import { html } from 'lit-html';
import { show, tell, total } from './decide.js';
import { ACTIONS, nextUndecided, tally } from './list.js';
import { messageOf, name, table } from '../common/parts.js';
import { number, plural } from '../common/text.js';

/** Save the journal as a file. @type {(cl: Cleaner) => void} */
export const download = cl => {
  cl.host.export().catch(error => { cl.error = messageOf(error); cl.update(); });
};

/** @type {(cl: Cleaner, line: string) => void} */
const copy = (cl, line) => {
  const done = navigator.clipboard?.writeText(line) ?? Promise.reject(new Error());
  done.then(() => tell(cl, 'Copied.'), () => tell(cl, 'This browser lets no page copy: select the line.'));
};

/** The summary. @type {(cl: Cleaner) => Html} */
export function ending(cl) {
  const { data, marks } = cl, rows = tally(data.items, marks), left = total(cl) - marks.size;
  const all = ACTIONS.map((_, k) => rows.reduce((n, [, counts]) => n + counts[k], 0));
  /** @type {(label: unknown, counts: number[]) => Html} */
  const row = (label, counts) => html`<tr><th scope="row">${label}</th>
    ${counts.map(n => html`<td class="ic-figure">${n ? number(n) : '–'}</td>`)}</tr>`;
  const lines = data.commands.map(([what, line]) => html`<li>${what}:
    <span class="cl-command"><code>${line}</code>
    <button type="button" aria-label="Copy: ${what}" @click=${() => copy(cl, line)}>Copy</button></span>
    </li>`);
  const go = () => show(cl, nextUndecided(cl, -1) ?? cl.list[0] ?? null);
  return html`<section class="cl-end" aria-label="summary">
    <h3>${left ? `${number(left)} of ${plural(total(cl), 'candidate')} are not decided yet`
      : `All ${plural(total(cl), 'candidate')} are decided`}</h3>
    ${rows.length ? html`<div class="cl-tally" tabindex="0" role="region" aria-label="decisions by class">${
      table(['class', 'relabelled', 'kept', 'set aside', 'deleted'],
        [row('all', all), ...rows.map(([label, counts]) => row(name(label, 40), counts))])}</div>` : ''}
    <p>${data.live ? html`The decisions are in ${name(data.journal, Infinity)}. ` : html`<button type="button"
      class="cl-main" @click=${() => download(cl)}>Download ${data.journal}</button> Then, in the folder where
      it lies:`}</p>
    <ol>${lines}</ol>
    <button type="button" @click=${go}>${left ? 'Go on' : 'Look at them again'}</button></section>`;
}
