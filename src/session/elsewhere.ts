import type { Fd } from "../kernel/fd.ts";
import { readLinkAt } from "../kernel/file.ts";

/** A symbolic link in the session's directory that says where else its layers are. */
export const elsewhere = "layers-elsewhere";

/** Where layers are that aren't in the session's directory. */
export function readElsewhere(dir: Fd): string {
  return readLinkAt(dir, elsewhere).toString("utf8");
}
