// "Wrong label?": what is said about a photo becomes a line of the cleaner's journal.
import { html } from 'lit-html';
import { failure, link, messageOf, name, note, select } from '../common/parts.js';

const NOTED = 'A test photo: what you say is noted for the cleaner, and the photo counts as before.';
/** @type {Record<string, string>} */
const WORDS = { keep: 'the label is right', aside: 'set aside', delete: 'delete' };

/** 'you said: shirt', where something was said about the photo.
 * @type {(ex: Explorer, id: number) => unknown} */
export function said({ marks }, id) {
  const mark = marks.get(id);
  return mark ? html`<span class="ic-pair ic-said">you said: ${
    mark.action === 'relabel' ? name(mark.new) : WORDS[mark.action]}</span>` : '';
}

/** The choices for a photo whose most probable classes are `likely`; what is returned shows them. `redraw`
 * shows the photo anew, `last`: undo takes back what was said about it.
 * @type {(ex: Explorer, id: number, likely: number[], last: boolean, redraw: () => void) => () => unknown} */
export function mending(ex, id, likely, last, redraw) {
  const { host, names, targets, marks, data } = ex, truth = targets[id];
  let to = likely.find(c => c !== truth) ?? (truth ? 0 : 1), busy = false, error = '';
  /** @type {(ask: () => Promise<Decided>) => Promise<void>} */
  const write = async ask => {
    if (busy) return;
    busy = true;
    try {
      const done = await ask();
      ({ last } = done);
      if (done.mark) marks.set(id, done.mark); else marks.delete(id);
      error = '';
    } catch (thrown) { error = messageOf(thrown); }
    busy = false;
    redraw();
    ex.act.update();
  };
  /** @type {(words: unknown, action: string, kind?: string) => Html} */
  const button = (words, action, kind = '') => {
    const mark = marks.get(id), label = action === 'relabel' ? names[to] : '';
    return html`<button type="button" class=${kind}
      aria-pressed=${mark?.action === action && mark.new === label}
      @click=${() => write(() => host.decide(id, action, label))}>${words}</button>`;
  };
  const classes = names.map((text, c) => /** @type {Option} */ ([c, text])).filter(([c]) => c !== truth);
  return () => (!data.journal || names.length < 2 ? '' : html`<h4>Wrong label?</h4>
    <div class="ic-mend">${select('It is', classes, to, v => { to = Number(v); redraw(); })}
      ${button('Relabel', 'relabel', 'ic-primary')}${button('Label is right', 'keep')}${
        button('Set aside', 'aside')}
      ${last ? html`<button type="button" @click=${() =>
        write(() => host.undo(id))}>Undo</button>` : ''}</div>
    <p aria-live="polite">${said(ex, id)}</p>${error ? failure(`Not saved: ${error}`) : ''}${note(NOTED)}
    ${data.command ? html`<p class="ic-note">Kept in this browser. ${link('Download decisions.csv',
      () => host.export())}, then run <code>${data.command}</code></p>` : ''}`);
}
