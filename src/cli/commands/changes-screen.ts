import { UserError } from "../../error.ts";
import { diffSession, type ShownChange } from "../../session/changes/diff.ts";
import { isHistory } from "../../session/home/files.ts";
import { report } from "../errors.ts";
import { terminalSize } from "../progress.ts";
import { screenText } from "./diff-text.ts";

/**
 * What a session has changed, on one screen.
 * @param more what no diff knows of
 * @returns undefined: nothing was changed, or there is nothing that the session could be compared with
 */
export function changesScreen(id: string, more: readonly ShownChange[] = []): string | undefined {
  try {
    return diffSession(id, {}, (diff) => {
      const names = [...diff.briefly.flatMap(({ paths }) => paths), ...more.map(({ path }) => path)];
      if (names.every(isHistory)) return undefined;
      const { packages, timesOnly } = diff;
      const changes = [...diff.changes, ...more];
      return screenText({ changes, packages, timesOnly }, terminalSize().rows - 3);
    });
  } catch (error) {
    if (error instanceof UserError && error.code === "unsupported") return undefined;
    report(error, { json: false, verbose: false });
    return "";
  }
}
