import { bytesOf, type Name } from "../kernel/at.ts";

const escapes: Readonly<Record<number, string>> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

/** Nearly all are. */
const plain = /^[ !#-[\]-~]*$/;

/** Whether a text of paths with NULs between them, which none contains, needs no quotes anywhere. */
export function arePlain(paths: Name): boolean {
  return plainPaths.test(paths);
}

const plainPaths = /^[\0 !#-[\]-~]*$/;

/**
 * A path as text, without loss: as it is where it is plain UTF-8; else in double quotes, as git quotes it (with
 * core.quotePath=false): `\n` and the like, and three octal digits for each byte that is no text.
 */
export function quotePath(path: Name): string {
  if (plain.test(path)) return path;
  const bytes = bytesOf(path);
  const text = bytes.toString("utf8");
  const isText = Buffer.from(text).equals(bytes);
  if (isText && !/[\p{Cc}"\\]/u.test(text)) return text;
  let quoted = "";
  for (const char of isText ? text : path) {
    const code = char.codePointAt(0) ?? 0;
    const isPlain = isText ? !/\p{Cc}/u.test(char) : code >= 32 && code < 127;
    quoted += escapes[code] ?? (isPlain ? char : octal(isText ? Buffer.from(char) : [code]));
  }
  return `"${quoted}"`;
}

function octal(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}
