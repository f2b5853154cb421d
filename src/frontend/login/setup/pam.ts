import { existsSync, readdirSync } from "node:fs";
import { UserError } from "../../../error.ts";
import { type Edit, editOf, readText } from "./edits.ts";

const directory = "/etc/pam.d";

/** Optional: nobody is locked out by it, whatever it meets. Whether somebody gets a shell, and where, is the shell's to say. */
const line = "session optional pam_exec.so seteuid quiet /usr/bin/fallthru login-pam";

/** Has PAM count the logins by these services (`sshd`, `su-l`). @throws {UserError} not-found */
export function pamEdits(services: readonly string[]): (Edit | undefined)[] {
  return services.map((service) => {
    const file = `${directory}/${service}`;
    if (service === "" || service.includes("/") || !existsSync(file)) {
      throw new UserError("not-found", `PAM has no service ${JSON.stringify(service)}`, { hint: `ls ${directory}` });
    }
    return editOf(file, (text) => (hasLine(text) ? text : `${text.replace(/\n?$/, "\n")}${line}\n`));
  });
}

/** Takes the line away from all services. */
export function pamRemovals(): (Edit | undefined)[] {
  return countingServices().map((service) =>
    editOf(`${directory}/${service}`, (text) =>
      text
        .split("\n")
        .filter((each) => each !== line)
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
  return text.split("\n").includes(line);
}
