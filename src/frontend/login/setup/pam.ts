import { existsSync, readdirSync } from "node:fs";
import { UserError } from "../../../error.ts";
import { type Edit, editOf, readText } from "./edits.ts";

const directory = "/etc/pam.d";

/**
 * Optional: nobody is locked out by it, whatever it meets. Whether somebody gets a shell, and where, is the shell's to say. Only
 * for opening where people may have set variables (LD_PRELOAD) until the session closes: it ends with its program then.
 */
const lines = {
  both: "session optional pam_exec.so seteuid quiet /usr/bin/fallthru login-pam",
  open: "session optional pam_exec.so type=open_session seteuid quiet /usr/bin/fallthru login-pam",
} as const;

/** Has PAM count the logins by these services (`sshd`, `su-l`). @throws {UserError} not-found, unsupported */
export function pamEdits(services: readonly string[]): (Edit | undefined)[] {
  return services.map((service) => {
    const file = `${directory}/${service}`;
    if (service === "" || service.includes("/") || !existsSync(file)) {
      throw new UserError("not-found", `PAM has no service ${JSON.stringify(service)}`, { hint: `ls ${directory}` });
    }
    return editOf(file, (text) => (hasLine(text) ? text : withLine(text, service)));
  });
}

/**
 * At the end, when all that a session has is there; but before people's own variables are, which would reach our program, and the
 * dynamic loader that starts it, while they have root's rights.
 */
function withLine(text: string, service: string): string {
  const all = text.replace(/\n?$/, "\n").split("\n");
  const kinds = all.map((each) => variablesOf(each, 0));
  if (kinds.some((each) => each.has("auth") || each.has("account"))) {
    throw new UserError("unsupported", `${service}: people set variables of their own before PAM opens a session`, {
      hint: `${directory}/${service}: take user_readenv=1 away from its lines with pam_env.so`,
    });
  }
  const first = kinds.findIndex((each) => each.size > 0);
  if (first < 0) all.splice(all.length - 1, 0, lines.both);
  else all.splice(first, 0, lines.open);
  return all.join("\n");
}

/** As deep as files include each other. */
const deepest = 8;

/** For which of its kinds a line of PAM's lets people set variables (~/.pam_environment), itself or by a file that it includes. */
function variablesOf(text: string, depth: number): Set<string> {
  const words = text.replace(/#.*/, "").trim().split(/\s+/);
  const includes =
    words[0] === "@include" ? words[1] : /^(include|substack)$/.test(words[1] ?? "") ? words[2] : undefined;
  if (includes !== undefined && depth < deepest) {
    const included = (readText(`${directory}/${includes}`) ?? "").split("\n");
    return new Set(included.flatMap((each) => [...variablesOf(each, depth + 1)]));
  }
  const isOne = words.some((word) => word.endsWith("pam_env.so")) && words.includes("user_readenv=1");
  return new Set(isOne ? [(words[0] ?? "").replace(/^-/, "")] : []);
}

/** Takes the line away from all services. */
export function pamRemovals(): (Edit | undefined)[] {
  return countingServices().map((service) =>
    editOf(`${directory}/${service}`, (text) =>
      text
        .split("\n")
        .filter((each) => !isLine(each))
        .join("\n"),
    ),
  );
}

/** The services that count logins. */
export function countingServices(): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .toSorted()
    .filter((service) => hasLine(readText(`${directory}/${service}`) ?? ""));
}

function hasLine(text: string): boolean {
  return text.split("\n").some(isLine);
}

function isLine(text: string): boolean {
  return text === lines.both || text === lines.open;
}
