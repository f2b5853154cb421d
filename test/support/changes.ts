/** One change to a tree, by paths of names without leading slash. */
export type Change =
  | { readonly kind: "write"; readonly path: string; readonly text: string; readonly at: number }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  | { readonly kind: "mkdir" | "rmdir" | "unlink" | "fifo"; readonly path: string }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string }
  | { readonly kind: "link" | "rename" | "exchange"; readonly path: string; readonly to: string }
  | { readonly kind: "chmod"; readonly path: string; readonly mode: number }
  | { readonly kind: "chown"; readonly path: string; readonly uid: number; readonly gid: number }
  | { readonly kind: "utimes"; readonly path: string; readonly seconds: number }
  | { readonly kind: "setxattr" | "removexattr"; readonly path: string; readonly name: string };

export function random(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    const mixed = Math.imul(state ^ (state >>> 12), 0x297a2d39);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % limit;
  };
}

const names = ["a", "b", "c", "d"];

/** Random changes on few names, so that they meet. */
export function randomChanges(next: (limit: number) => number, count: number): Change[] {
  const path = (): string => Array.from({ length: 1 + next(3) }, () => names[next(names.length)]).join("/");
  const one = (): Change => {
    const kind = next(20);
    if (kind < 3)
      return { kind: "write", path: path(), text: "x".repeat(next(50)) + next(1000), at: next(3) * next(5000) };
    if (kind < 7) return { kind: "mkdir", path: path() };
    if (kind < 8) return { kind: "rmdir", path: path() };
    if (kind < 9) return { kind: "unlink", path: path() };
    if (kind < 13) return { kind: "rename", path: path(), to: path() };
    if (kind < 14) return { kind: "exchange", path: path(), to: path() };
    if (kind < 15) return { kind: "link", path: path(), to: path() };
    if (kind < 16) return { kind: "symlink", path: path(), target: `missing/${path()}` };
    if (kind < 17) return { kind: "chmod", path: path(), mode: 0o400 + next(0o377) };
    if (kind < 18)
      return next(2) === 0 ? { kind: "truncate", path: path(), size: next(6000) } : { kind: "fifo", path: path() };
    if (kind < 19)
      return next(2) === 0
        ? { kind: "chown", path: path(), uid: next(5), gid: next(5) }
        : { kind: "utimes", path: path(), seconds: next(1e9) };
    return { kind: next(3) > 0 ? "setxattr" : "removexattr", path: path(), name: `user.${names[next(2)]}` };
  };
  return Array.from({ length: count }, one);
}
