import type { Path } from "../session/run.ts";

/** Does as the person's shell would, in their session. @param argv as that shell's. @returns exit status */
export async function beShell(isLogin: boolean, argv: readonly string[]): Promise<number> {
  const { verbatimArguments } = await import("../session/hostshell.ts");
  return enter(isLogin ? "login" : "shell", verbatimArguments(argv));
}

/** For sshd(8)'s ForceCommand: what was asked for is in a variable. Without one, a login shell. */
export async function beForced(): Promise<number> {
  const { ownEnvironment } = await import("../session/hostshell.ts");
  const asked = ownEnvironment()["SSH_ORIGINAL_COMMAND"];
  return asked === undefined ? enter("login", []) : enter("shell", ["-c", asked]);
}

/** Runs a command instead of a shell. */
export async function beCommand(words: readonly string[]): Promise<number> {
  const { verbatimArguments } = await import("../session/hostshell.ts");
  return enter("command", verbatimArguments(words));
}

/** Everything is the service's to do: who logs in has no rights. */
async function enter(kind: "login" | "shell" | "command", words: readonly Path[]): Promise<number> {
  const [{ askFor, exitNow }, { ownEnvironment }] = await Promise.all([
    import("../daemon/client.ts"),
    import("../session/hostshell.ts"),
  ]);
  const { SSH_ORIGINAL_COMMAND: _, ...environment } = ownEnvironment();
  const outcome = await askFor({ program: "login", argv: [kind, ...words], environment }, undefined, async (why) =>
    (await import("../frontend/login/unreachable.ts")).whatWithout(why),
  );
  if (outcome !== "host") return exitNow(outcome);
  const { beHostShell } = await import("../frontend/login/unreachable.ts");
  return beHostShell({ kind, words });
}
