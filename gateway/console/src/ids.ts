/** Ids: a prefix and a UUID of version 7 in base 32. */
const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";

/** A new id that sorts by time. */
export function newId(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const now = Date.now();
  for (let byte = 0; byte < 6; byte++) bytes[byte] = (now / 2 ** (8 * (5 - byte))) & 0xff;
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  let number = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  let text = "";
  for (let digit = 0; digit < 26; digit++) {
    text = DIGITS[Number(number & 31n)] + text;
    number >>= 5n;
  }
  return `${prefix}_${text}`;
}

/** The same thing under another prefix: an order's basket, list, invoice and sagas bear its UUID. */
export function asId(prefix: string, id: string): string {
  return `${prefix}_${id.slice(id.indexOf("_") + 1)}`;
}

/** Short enough to read, long enough to tell apart. */
export function shortId(id: string): string {
  return id.slice(-6);
}

export function prefixOf(id: string): string {
  return id.slice(0, Math.max(0, id.indexOf("_")));
}
