import { readFileSync } from "node:fs";

/** The shells that people had before ours was put in their place: a line `NAME SHELL` each. Everybody may read it. */
export const shellsFile = "/var/lib/fallthru/login-shells";

export function rememberedShell(name: string): string | undefined {
  return readShells().get(name);
}

export function readShells(): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(shellsFile, "utf8");
  } catch {
    return new Map(); // Nobody's was replaced, or the login goes on with another shell.
  }
  const lines = text.split("\n").map((line) => line.split(" "));
  return new Map(lines.flatMap(([name = "", shell = ""]) => (shell === "" ? [] : [[name, shell] as const])));
}
