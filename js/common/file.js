// What lies in a page that stands alone, or comes from a kernel: pictures and numbers as base64, little end
// first as on every browser's machine.

/** A photo that lies in the page. @type {(b64: string | null) => string | null} */
export const jpeg = b64 => (b64 ? `data:image/jpeg;base64,${b64}` : null);

/** A thumbnail that lies in the page, or why there is none.
 * @type {(id: number, b64: string | null, file: string, missing: string) => Photo} */
export const photoOf = (id, b64, file, missing) =>
  ({ id, thumb: jpeg(b64), file, note: b64 ? '' : missing });

/** Bytes of a base64 text. @type {(b64: string) => Uint8Array<ArrayBuffer>} */
const bytes = b64 => Uint8Array.from(atob(b64), c => c.charCodeAt(0));

/** 16-bit unsigned numbers. @type {(b64: string) => Uint16Array} */
export const u16 = b64 => new Uint16Array(bytes(b64).buffer);

/** 32-bit unsigned numbers. @type {(b64: string) => Uint32Array} */
export const u32 = b64 => new Uint32Array(bytes(b64).buffer);
