import { UserError } from "../error.ts";

/** The name under which every verb knows the machine's own root; no chroot can have it. */
const hostName = "host";

/**
 * What is wrong with a chroot's name or alias, in schroot's rules (schroot.conf(5), "Chroot names") and ours;
 * undefined where nothing is. The same rules hold for the names of files in chroot.d.
 */
export function nameProblem(name: string): string | undefined {
  if (name === hostName) return `the name "${hostName}" is reserved for this machine's own root`;
  if (isPermittedName(name)) return undefined;
  return `${JSON.stringify(name)} can't be a chroot's name`;
}

export const nameHint = "a name begins with a letter or digit, then has letters, digits and - . _ (schroot.conf(5))";

/** schroot's rule alone: also what dpkg leaves beside a configuration file isn't permitted. */
export function isPermittedName(name: string): boolean {
  // By hand: the first regular expression costs a start 0.06 ms.
  for (let at = 0; at < name.length; at++) {
    const letter = name.charAt(at);
    if (!letters.includes(letter) && (at === 0 || !"_.-".includes(letter))) return false;
  }
  return name !== "" && !leftByDpkg.some((end) => name.endsWith(end));
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const leftByDpkg = ["dpkg-old", "dpkg-dist", "dpkg-new", "dpkg-tmp"];

/** Checks a name that is to become a file's too. @throws {UserError} usage */
export function checkName(name: string): void {
  const problem = name.length > 200 ? `the name ${name.slice(0, 20)}... is too long` : nameProblem(name);
  if (problem !== undefined) throw new UserError("usage", problem, { hint: nameHint });
}

/** Those of `known` that somebody who wrote `name` may have meant, the nearest first; at most three. */
export function nearNames(name: string, known: Iterable<string>): string[] {
  const limit = name.length < 4 ? 1 : 2;
  const near: { candidate: string; distance: number }[] = [];
  for (const candidate of new Set(known)) {
    const distance = Math.min(editDistance(name, candidate, limit), isBeginning(name, candidate) ? limit : limit + 1);
    if (distance <= limit) near.push({ candidate, distance });
  }
  near.sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1));
  return near.slice(0, 3).map(({ candidate }) => candidate);
}

function isBeginning(name: string, candidate: string): boolean {
  return name !== "" && candidate.startsWith(name);
}

/** Levenshtein's distance; anything above `limit` is `limit + 1`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return Math.min(row[b.length] ?? 0, limit + 1);
}
