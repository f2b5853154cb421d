import { UserError } from "../../../error.ts";
import { applyEdits, diffText, type Edit } from "../../../frontend/login/setup/edits.ts";
import type { Subject } from "../../../frontend/login/setup/people.ts";
import type { JsonField, OptionSpec } from "../../command.ts";
import { isTerminal } from "../../../session/terminal.ts";
import { SignalRelay } from "../../../session/signals.ts";
import { write } from "../../print.ts";
import { ask } from "../answer.ts";

/** What `login enable` and `login disable` have in common. */
export const subjectOptions = {
  user: { type: "string", placeholder: "NAME", completes: "user", summary: "whose login" },
  group: { type: "string", placeholder: "NAME", summary: "the logins of all of a group" },
  dryRun: { type: "boolean", summary: "show what would be written, and do nothing" },
  yes: { type: "boolean", short: "y", summary: "don't ask" },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export const changesJson: readonly JsonField[] = [
  { name: "diff", type: "string", summary: "what was written, or with --dry-run would be" },
  { name: "isDone", type: "boolean", summary: "whether it was" },
  { name: "note", type: "string?", summary: "what is left to do" },
];

export interface Changes {
  readonly diff: string;
  readonly isDone: boolean;
  readonly note?: string;
}

export function subjectOf({ user, group }: { user: string | undefined; group: string | undefined }): Subject {
  if (user !== undefined && group === undefined) return { kind: "user", name: user };
  if (group !== undefined && user === undefined) return { kind: "group", name: group };
  throw new UserError("usage", "whose login?", { hint: "give one of --user NAME and --group NAME" });
}

/** Shows what is to be written, asks, and writes it; whatever signals come, all or nothing. */
export async function change(
  edits: readonly Edit[],
  how: { dryRun: boolean; yes: boolean; json: boolean },
): Promise<Changes> {
  const diff = diffText(edits);
  if (edits.length === 0 || how.dryRun) return { diff, isDone: false };
  if (process.geteuid?.() !== 0)
    throw new UserError("failed", "only the superuser can do this", { hint: "run it as root: sudo fallthru …" });
  using signals = new SignalRelay();
  if (!how.yes) {
    if (!isTerminal(0) || how.json)
      throw new UserError("usage", "nobody is there to ask", { hint: "--yes writes it, --dry-run shows it" });
    write(2, diff);
    if (!/^y/i.test((await ask("write this? [y/N] ", signals)) ?? ""))
      return { diff: "", isDone: false, note: "nothing was written" };
  }
  applyEdits(edits);
  const isSshd = edits.some(({ file }) => file.startsWith("/etc/ssh/"));
  return {
    // Who was asked has seen it.
    diff: how.yes ? diff : "",
    isDone: true,
    ...(isSshd ? { note: "sshd takes it from now on when it is told: systemctl reload ssh" } : {}),
  };
}

export function changesText({ diff, isDone, note }: Changes): string {
  if (diff === "" && !isDone) return `${note ?? "nothing to change"}\n`;
  return `${diff}${note === undefined ? "" : `${note}\n`}`;
}
