import { UserError } from "../error.ts";

const longest = 128;

/** schroot's own rule for session names, and short enough for every path that it becomes part of. */
export function isSessionId(id: string): boolean {
  for (let at = 0; at < id.length; at++) {
    if (!isAlphanumeric(id.charCodeAt(at)) && (at === 0 || !"_.-".includes(id.charAt(at)))) return false;
  }
  return id.length > 0 && id.length <= longest;
}

/** Of ASCII. No regular expression: the first one costs a start 0.06 ms. */
function isAlphanumeric(code: number): boolean {
  const lower = code | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39);
}

export function checkSessionId(id: string): void {
  if (isSessionId(id)) return;
  throw new UserError("usage", `${JSON.stringify(id)} can't be a session's name`, {
    hint: `a letter or digit, then letters, digits, '_', '.' and '-', at most ${longest} in all`,
  });
}

/** A new id: the chroot's name and 32 random bits. */
export function makeSessionId(chroot: string): string {
  return `${chroot.slice(0, longest - 9)}-${randomHex()}`;
}

/** 32 random bits. The web's generator: importing node:crypto costs 2.5 ms at each start. */
export function randomHex(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(4))).toString("hex");
}
