import { parseConfig } from "../../../chroot/parse.ts";
import type { Subject } from "./people.ts";

/**
 * The text of a configuration file in which a chroot is this subject's login, or isn't any more: a name more or less in
 * one line, or that line.
 * @param chroot that is described in it
 */
export function withLogin(text: string, chroot: string, { kind, name }: Subject, change: "add" | "remove"): string {
  const key = `login.${kind}s`;
  const stanza = parseConfig(text, "").stanzas.find((each) => each.name === chroot);
  if (stanza === undefined) return text;
  const lines = text.split("\n");
  const found = stanza.keys.get(key);
  const names = (found?.value ?? "")
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
  const wanted = change === "remove" ? names.filter((each) => each !== name) : [...new Set([...names, name])];
  if (wanted.join(",") === names.join(",")) return text;
  const line = `${key}=${wanted.join(",")}`;
  if (found === undefined) lines.splice(stanza.lastLine, 0, line);
  else lines.splice(found.line - 1, 1, ...(wanted.length === 0 ? [] : [line]));
  // The last line of a file need not have ended.
  return found === undefined && stanza.lastLine === lines.length - 1
    ? `${lines.join("\n").replace(/\n*$/, "")}\n`
    : lines.join("\n");
}
