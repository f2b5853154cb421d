import { UserError } from "../../error.ts";

/** What a word on the command line names: `@fix` a session, anything else a chroot; without one, the host. */
export type Source =
  | { readonly kind: "session"; readonly id: string }
  | { readonly kind: "chroot"; readonly name: string };

export function parseSource(word: string | undefined): Source {
  if (word === undefined) return { kind: "chroot", name: "host" };
  if (word.startsWith("@")) return { kind: "session", id: sessionId(word) };
  if (word === "") throw new UserError("usage", "an empty name");
  return { kind: "chroot", name: word };
}

/** `@fix` or `fix`, where only a session makes sense. */
export function sessionId(word: string): string {
  const id = word.startsWith("@") ? word.slice(1) : word;
  if (id === "") throw new UserError("usage", "an empty session id", { hint: "fallthru list shows the sessions" });
  return id;
}
