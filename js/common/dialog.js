// A window over the page.
import { html, render } from 'lit-html';
import { uniqueId } from './parts.js';

/** Open a window with a title; Esc closes it, and the focus goes back to where it was. `key` hears the keys
 * pressed in it, `closed` that it is closed. Returns show(title, content), which draws it anew, and close().
 * @type {(root: HTMLElement, opts?: { key?: (event: KeyboardEvent) => void, closed?: () => void }) =>   {
 *   show: (title: string, content: unknown) => void, close: () => void, el: HTMLDialogElement }} */
export function openDialog(root, { key, closed } = {}) {
  const before = document.activeElement, id = uniqueId('dialog'), el = document.createElement('dialog');
  el.className = 'ic-dialog';
  el.setAttribute('aria-labelledby', id);
  el.addEventListener('keydown', event => { event.stopPropagation(); key?.(event); });
  el.addEventListener('click', event => { if (event.target === el) el.close(); });
  el.addEventListener('close', () => {
    el.remove();
    if (closed) closed();
    else if (before instanceof HTMLElement && before.isConnected) before.focus();
  });
  root.append(el);
  el.showModal();
  const close = () => el.close();
  return {
    el, close,
    show(title, content) {
      render(html`<div class="ic-dialog-head"><h3 id=${id} dir="auto">${title}</h3>
        <button type="button" class="ic-close" aria-label="close" title="close (Esc)"
        @click=${close}>×</button> </div>${content}`, el);
    },
  };
}
