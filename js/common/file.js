// The shell for a page that stands alone: what a kernel would reply lies in the page as JSON.

/** A photo that lies in the page. @type {(b64: string | null) => string | null} */
export const jpeg = b64 => (b64 ? `data:image/jpeg;base64,${b64}` : null);

/**
 * What a page calls to begin: draw in the element called `name` what its JSON says, with a host made from it.
 * @type {(show: Show, host: (inside: any) => any) => (name: string) => void}
 */
export const opener = (show, host) => name => {
  const inside = JSON.parse(document.getElementById(`${name}-data`)?.textContent || '');
  show(/** @type {HTMLElement} */ (document.getElementById(name)), inside.data, host(inside));
};
