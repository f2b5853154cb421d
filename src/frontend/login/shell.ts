import { defaultFilter, matcherOf, existsInside } from "../../session/environment.ts";
import type { Path, Program, Surroundings } from "../../session/run.ts";
import { findUser } from "../../session/user.ts";
import { UserError } from "../../error.ts";
import { superuserPath, userPath } from "../../places.ts";
import type { Caller } from "../schroot/caller.ts";
import type { Login } from "./find.ts";
import type { Shown } from "./shown.ts";

type Root = Surroundings["root"];

/** What a login is asked for: the person's shell as it would be called without us, or a command. */
export interface Wanted {
  /** `login`: the shell is one, and has a dash in front of its name. */
  readonly kind: "login" | "shell" | "command";
  readonly words: readonly Path[];
}

/** @param argv of the request: the kind, then the words. @throws {UserError} usage */
export function readWanted([kind, ...words]: readonly Path[]): Wanted {
  const name = kind?.toString();
  if (name === "login" || name === "shell") return { kind: name, words };
  if (name === "command" && words.length > 0) return { kind: name, words };
  throw new UserError("usage", "no login can be begun so");
}

/** What is run, and in what surroundings it is. @param shell as the session's passwd(5) has it */
export function makeShell(root: Root, wanted: Wanted, shell: string, env: Program["env"]): Program {
  const name = shell.slice(shell.lastIndexOf("/") + 1);
  switch (wanted.kind) {
    case "login":
      return { file: shell, argv: [`-${name}`, ...withServer(root, wanted.words)], env };
    case "shell":
      return { file: shell, argv: [name, ...withServer(root, wanted.words)], env };
    case "command": {
      const [file = shell] = wanted.words;
      return { file, argv: wanted.words, env };
    }
  }
}

/** The person's shell inside. */
export function shellInside(root: Root, { name }: Caller): string {
  const { shell } = findUser(root, name);
  return shell === "" ? "/bin/sh" : shell;
}

/** Where distributions have OpenSSH's. */
const servers = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];

/**
 * sshd(8) asks for its own sftp-server, by the path that it has outside or by a word that only sshd knows: the one that
 * the root has is taken.
 */
function withServer(root: Root, words: readonly Path[]): readonly Path[] {
  const [option, command, ...more] = words;
  const text = option?.toString() === "-c" && command !== undefined ? command.toString() : "";
  const [, asked = "", rest = ""] = /^(internal-sftp|\/\S*\/sftp-server)(\s.*)?$/s.exec(text) ?? [];
  if (asked === "" || (asked.startsWith("/") && existsInside(root, asked))) return words;
  const server = servers.find((path) => existsInside(root, path));
  if (server === undefined) {
    throw new UserError("not-found", "the session has no sftp-server", {
      hint: "install openssh-sftp-server in its chroot",
    });
  }
  return ["-c", `${server}${rest}`, ...more];
}

/** All that the login had, as PAM and sshd made it, less what schroot too keeps out of chroots. */
export function loginEnvironment(
  { chroot }: Login,
  caller: Caller,
  own: { readonly id: string; readonly shell: string; readonly shown: Pick<Shown, "changes" | "gone"> },
): Record<string, Path> {
  const isFiltered = matcherOf(chroot.environmentFilter ?? defaultFilter);
  const kept = Object.entries(caller.environment).filter(
    ([name]) => !isFiltered(name) && !own.shown.gone.includes(name),
  );
  const { name, home } = caller;
  return {
    PATH: caller.uid === 0 ? superuserPath : userPath,
    HOME: home,
    USER: name,
    LOGNAME: name,
    ...Object.fromEntries(kept),
    SHELL: own.shell,
    FALLTHRU_SESSION: own.id,
    ...own.shown.changes,
  };
}
