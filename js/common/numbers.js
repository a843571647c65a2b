// Numbers that travel as base64, little end first as on every browser's machine.

/** Bytes of a base64 text. @type {(b64: string) => Uint8Array<ArrayBuffer>} */
const bytes = b64 => Uint8Array.from(atob(b64), c => c.charCodeAt(0));

/** 16-bit unsigned numbers; a Uint16Array passes as it is.
 * @type {(b64: string | Uint16Array) => Uint16Array} */
export const u16 = b64 => (typeof b64 === 'string' ? new Uint16Array(bytes(b64).buffer) : b64);

/** 32-bit unsigned numbers. @type {(b64: string) => Uint32Array} */
export const u32 = b64 => new Uint32Array(bytes(b64).buffer);
