import { UserError } from "../../error.ts";
import type { SessionOptions } from "../../session/types.ts";

/** What a word names: `@fix` a session, `source:sid` a chroot to be changed, anything else a chroot; without one, the host. */
export type Source =
  | { readonly kind: "session"; readonly id: string }
  | { readonly kind: "chroot"; readonly name: string; readonly session: Pick<SessionOptions, "source"> };

/** schroot's word for the chroot itself. */
const forSource = "source:";

export function parseSource(word: string | undefined): Source {
  if (word === undefined) return { kind: "chroot", name: "host", session: {} };
  if (word.startsWith("@")) return { kind: "session", id: sessionId(word) };
  if (word === "") throw new UserError("usage", "an empty name");
  const name = word.startsWith(forSource) ? word.slice(forSource.length) : word;
  return { kind: "chroot", name, session: name === word ? {} : { source: true } };
}

/** `@fix` or `fix`, where only a session makes sense. */
export function sessionId(word: string): string {
  const id = word.startsWith("@") ? word.slice(1) : word;
  if (id === "") throw new UserError("usage", "an empty session id", { hint: "fallthru list shows the sessions" });
  return id;
}
