import { accessSync, constants } from "node:fs";
import { findHostUser } from "../../session/accounts.ts";
import { becomeHere, ownEnvironment } from "../../session/hostshell.ts";
import type { Path } from "../../session/run.ts";
import { writeText } from "../../session/command.ts";
import { findLogin } from "./find.ts";
import { ownPerson } from "./self.ts";
import { rememberedShell } from "./shells.ts";
import type { Wanted } from "./shell.ts";

/** Who logs in where no service can be asked gets what their chroot's description says, if that can be read. */
export function whatWithout(why: string): number | "host" {
  const isHost = isLeftToHost();
  const outcome = isHost ? "you are on this machine's own root" : "you can't log in here";
  writeText(2, `fallthru: ${outcome}: ${why.replaceAll("\nI: ", "\nhint: ")}\n`);
  return isHost ? "host" : 1;
}

function isLeftToHost(): boolean {
  try {
    const person = ownPerson();
    return person !== undefined && findLogin(person).policy.onFailure === "host";
  } catch {
    // Whoever can't read what is allowed may nothing.
    return false;
  }
}

/** Becomes the person's own shell on this machine's root. It never returns. */
export function beHostShell({ kind, words }: { kind: Wanted["kind"]; words: readonly Path[] }): never {
  const env = ownEnvironment();
  const user = findHostUser(process.getuid?.() ?? 0);
  const candidates = [rememberedShell(user?.name ?? ""), user?.shell, "/bin/bash"];
  const shell = candidates.find((path) => path !== undefined && isShell(path)) ?? "/bin/sh";
  const name = shell.slice(shell.lastIndexOf("/") + 1);
  const [file = shell] = kind === "command" ? words : [shell];
  const argv = kind === "command" ? words : [kind === "login" ? `-${name}` : name, ...words];
  return becomeHere({ file, argv, env: { ...env, SHELL: shell } });
}

function isShell(path: string): boolean {
  if (/\/fallthru(?:-login)?$/.test(path)) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // It isn't there, or isn't theirs to run: the next one.
  }
}
