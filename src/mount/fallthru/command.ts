import { isCompiled } from "../../kernel/libc.ts";

/** How a server is started, by itself or by its holder. */
export function serverCommand(): { readonly file: string; readonly argv: readonly string[] } {
  const argv = isCompiled() ? [process.execPath, "serve"] : [process.execPath, "--expose-gc", serverFile()];
  return { file: process.execPath, argv };
}

/** Beside this file: server.ts in the source, server.js in the library. */
function serverFile(): string {
  return import.meta.filename.replace(/command(\.[jt]s)$/, "server$1");
}

export function serverEnvironment(): string[] {
  // Bun reads its options from there, in an executable too: see Reclaim.
  return [`PATH=${process.env["PATH"] ?? "/usr/bin:/bin"}`, "BUN_OPTIONS=--expose-gc"];
}
