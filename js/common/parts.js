// Parts that the explorer and the cleaner share. lit-html puts text into the page as text nodes and
// attributes only.
import { html, nothing, render } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { cut } from './text.js';

/** An id that no other element on the page has, so that two widgets never collide.
 * @type {(prefix: string) => string} */
export const uniqueId = prefix => `ic-${prefix}-${Math.random().toString(36).slice(2, 10)}`;

/** A name from a file (class, photo, run) in its own direction of writing, cut where it is very long.
 * @type {(text: string, max?: number, classes?: string) => Html} */
export const name = (text, max = 60, classes = '') =>
  html`<bdi class="ic-name ${classes}" dir="auto" title=${text}>${cut(text, max)}</bdi>`;

/** A small grey line. @type {(text: string) => Html} */
export const note = text => html`<p class="ic-note">${text}</p>`;

/** That work goes on. @type {(text?: string) => Html} */
export const busy = (text = 'Loading …') => html`<p class="ic-busy" role="status">${text}</p>`;

/** A failure. @type {(text: string) => Html} */
export const failure = text => html`<p class="ic-error" role="alert">${text}</p>`;

/** The message of what was thrown. @type {(thrown: unknown) => string} */
export const messageOf = thrown => (thrown instanceof Error ? thrown.message : String(thrown));

/** Shows what `ask` fetches as `draw` draws it, and `before` until it is here; asked when first looked at.
 * @type {<T>(ask: () => Promise<T>, draw: (got: T) => () => unknown, update: () => void,
 *   before?: () => unknown) => () => unknown} */
export function later(ask, draw, update, before = () => busy()) {
  let shown = before, asked = /** @type {unknown} */ (null);
  const look = () => ask().then(got => { shown = draw(got); })
    .catch(error => { shown = () => failure(messageOf(error)); }).then(update);
  return () => { asked ??= look(); return shown(); };
}

/** A thumbnail, or a grey field that says why there is none.
 * @type {(src: string | null, why?: string) => Html} */
export const thumb = (src, why) => (src ? html`<img class="ic-thumb" src=${src} alt="" decoding="async">`
  : html`<span class="ic-thumb ic-gone">${why || 'photo is gone'}</span>`);

/** A labelled drop-down.
 * @type {(label: string, options: Option[], value: unknown, pick: (value: string) => void) => Html} */
export const select = (label, options, value, pick) => html`<label class="ic-field"><span>${label}</span>
  <select @change=${(/** @type {Chosen} */ event) => pick(event.target.value)}>
    ${options.map(([v, text]) => html`<option value=${String(v)} title=${text} dir="auto"
      .selected=${live(String(v) === String(value))}>${cut(String(text), 60)}</option>`)}</select></label>`;

/** A slider. @type {(value: number, slide: (value: number) => void, about: { min: number, max: number,
 *   step?: number, label?: string, says?: string, off?: boolean }) => Html} */
export const slider = (value, slide, { min, max, step = 1, label, says, off }) => html`<input type="range"
  min=${min} max=${max} step=${step} aria-label=${label ?? nothing} aria-valuetext=${says ?? nothing}
  ?disabled=${off} .value=${live(String(value))}
  @input=${(/** @type {Chosen} */ event) => slide(Number(event.target.value))}>`;

/** A box to tick, for a label around it; with a `name`, the tab key passes it by.
 * @type {(on: boolean, change: (on: boolean) => void, name?: string) => Html} */
export const box = (on, change, name) => html`<input type="checkbox" .checked=${live(on)}
  aria-label=${name ?? nothing} tabindex=${name ? -1 : nothing}
  @change=${(/** @type {Checked} */ event) => change(event.target.checked)}>`;

/** Buttons of which one is pressed.
 * @type {(label: string, options: Option[], value: string, pick: (value: string) => void) => Html} */
export const segment = (label, options, value, pick) => html`<div class="ic-segment" role="group"
  aria-label=${label}>${options.map(([v, text, title]) => html`<button type="button" data-value=${v}
    title=${title ?? nothing} aria-pressed=${v === value}
    @click=${() => pick(String(v))}>${text}</button>`)}</div>`;

/** A button that reads like a link. @type {(content: unknown, act: () => void) => Html} */
export const link = (content, act) =>
  html`<button type="button" class="ic-link" @click=${act}>${content}</button>`;

/** Where an arrow, Home or End leads from item i of n in a grid of some columns; -1 for other keys.
 * @type {(key: string, i: number, n: number, columns: number) => number} */
export function move(key, i, n, columns) {
  /** @type {Record<string, number>} */
  const where = { ArrowLeft: i - 1, ArrowRight: i + 1, ArrowUp: i - columns, ArrowDown: i + columns,
    Home: 0, End: n - 1 };
  const to = where[key] ?? -1;
  return key in where && (to < 0 || to >= n) ? i : to;
}

/** The one of some elements where an arrow leads from that which hears the key; undefined for other keys.
 * @type {(event: KeyboardEvent, all: HTMLElement[], columns: number) => HTMLElement | undefined} */
export function neighbour(event, all, columns) {
  const i = all.indexOf(/** @type {HTMLElement} */ (event.target));
  const to = i < 0 ? undefined : all[move(event.key, i, all.length, columns)];
  if (!to) return undefined;
  event.preventDefault();
  event.stopPropagation();
  return to;
}

/** How many of the elements stand in the first row. @type {(elements: HTMLElement[]) => number} */
export const columns = elements => elements.filter(e => e.offsetTop === elements[0].offsetTop).length;

/** The arrows open the tab beside. @type {(event: KeyboardEvent) => void} */
function tabKey(event) {
  const bar = /** @type {HTMLElement} */ (event.currentTarget);
  const to = neighbour(event, [...bar.querySelectorAll('button')].filter(tab => !tab.hidden), 1);
  to?.click();
  to?.focus();
}

/** Tabs and their panels; names: [[name, text, hidden], …].
 * @type {(id: string, names: [string, string, boolean?][], chosen: string, open: (name: string) => void,
 *   panel: (name: string) => unknown) => Html} */
export const tabs = (id, names, chosen, open, panel) => html`
  <div class="ic-tabs" role="tablist" aria-label="details" @keydown=${tabKey}>
    ${names.map(([name, text, hidden]) => html`<button type="button" role="tab" id="${id}-${name}"
      aria-controls="${id}-${name}-panel" ?hidden=${hidden} aria-selected=${name === chosen}
      tabindex=${name === chosen ? 0 : -1} @click=${() => open(name)}>${text}</button>`)}</div>
  ${names.map(([name]) => html`<div role="tabpanel" class="ic-panel" id="${id}-${name}-panel" tabindex="0"
    aria-labelledby="${id}-${name}" ?hidden=${name !== chosen}>${panel(name)}</div>`)}`;

/** A table: the first column words, the others figures. @type {(heads: string[], rows: Html[]) => Html} */
export const table = (heads, rows) => html`<table class="ic-table"><thead><tr>${heads.map((text, i) =>
  html`<th scope="col" class=${i ? 'ic-figure' : ''}>${text}</th>`)}</tr></thead>
  <tbody>${rows}</tbody></table>`;

/** Empty root and make it a card; keys pressed inside no longer reach JupyterLab's shortcuts (`d d` would
 * delete the cell).
 * @type {(root: HTMLElement, name: string) => void} */
export function card(root, name) {
  root.replaceChildren();
  root.classList.add('imgcls', name);
  root.setAttribute('data-lm-suppress-shortcuts', 'true');
}

/** Send a call that changes the journal, one at a time; done(answer) follows, or `state.error` says why not.
 * @type {<T>(state: { busy: boolean, error: string }, call: () => Promise<T>, done: (answer: T) => void) =>
 *   Promise<void>} */
export async function saving(state, call, done) {
  if (state.busy) return;
  state.busy = true;
  try {
    const answer = await call();
    state.error = '';
    done(answer);
  } catch (error) { state.error = `Not saved: ${messageOf(error)}`; }
  state.busy = false;
}

/** Open a window with a title over the page; Esc closes it, and the focus goes back to where it was. `key`
 * hears the keys pressed in it, `closed` that it is closed. show(title, content) draws it anew.
 * @type {(root: HTMLElement, opts?: { key?: (event: KeyboardEvent) => void, closed?: () => void }) => {
 *   show: (title: string, content: unknown) => void, el: HTMLDialogElement }} */
export function openDialog(root, { key, closed } = {}) {
  const el = document.createElement('dialog');
  el.className = 'ic-dialog';
  el.addEventListener('keydown', event => { event.stopPropagation(); key?.(event); });
  el.addEventListener('click', event => { if (event.target === el) el.close(); });
  el.addEventListener('close', () => { el.remove(); closed?.(); });
  root.append(el);
  el.showModal();
  return {
    el,
    show(title, content) {
      el.setAttribute('aria-label', title);
      render(html`<div class="ic-dialog-head"><h3 dir="auto">${title}</h3><button type="button"
        class="ic-close" aria-label="close" title="close (Esc)" @click=${() => el.close()}>×</button></div>
        ${content}`, el);
    },
  };
}
