import { mkdirSync, writeFileSync } from "node:fs";
import { loadShown } from "./commands/index.ts";
import { completionScript } from "./completion/scripts.ts";
import { pageName, programPage, verbPage } from "./roff.ts";

/**
 * A step of the build, `bun src/cli/man.ts SHARE`: writes the manual pages and the completion scripts below SHARE, where
 * /usr/share has them.
 */
async function writeShare(share: string): Promise<void> {
  const shown = await loadShown();
  const files = new Map([["man/man1/fallthru.1", programPage(shown)]]);
  for (const verb of shown) files.set(`man/man1/${pageName(verb)}.1`, verbPage(verb));
  files.set("bash-completion/completions/fallthru", completionScript("bash"));
  files.set("zsh/site-functions/_fallthru", completionScript("zsh"));
  files.set("fish/vendor_completions.d/fallthru.fish", completionScript("fish"));
  for (const [file, text] of files) {
    mkdirSync(`${share}/${file.slice(0, file.lastIndexOf("/"))}`, { recursive: true });
    writeFileSync(`${share}/${file}`, text);
  }
}

const [share] = process.argv.slice(2);
if (share === undefined) throw new Error("usage: bun src/cli/man.ts SHARE");
await writeShare(share);
