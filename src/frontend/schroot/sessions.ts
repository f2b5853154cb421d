import { UserError } from "../../error.ts";
import { findHostUser, groupNameOf } from "../../session/accounts.ts";
import { startInSession } from "../../session/run.ts";
import { isOwnSession } from "../../session/there.ts";
import { runIn } from "./command.ts";
import type { Caller } from "./caller.ts";
import { accessTo, type Asker, strictest } from "./access.ts";
import { pathOf } from "./keys.ts";
import { isStill, notFound, type Scope, findSubjects, type Subject } from "./subjects.ts";
import type { Request } from "./request.ts";
import { refusal } from "./messages.ts";

/** The actions that do something with chroots and sessions, one subject after the other. @returns exit status */
export async function actOnSessions(request: Request, caller: Caller): Promise<number> {
  const subjects = await chosenSubjects(request, caller);
  const asker = askerOf(caller);
  const wanted = request.user ?? caller.name;
  if (wanted !== caller.name && wanted !== "root") checkUser(wanted, request, caller);
  if (strictest(subjects.map(({ keys }) => accessTo(keys, asker, wanted))) === "authenticate") {
    await caller.authenticate(wanted, caller.name);
  }
  if (request.keys.length > 0) (await import("./modify.ts")).checkKeys(request, subjects, caller);
  let status = 0;
  for (const subject of subjects) {
    // Of a set, all up to this one are done.
    if (isOfSessions(request) && !isSession(subject)) throw notFound([`${subject.namespace}:${subject.name}`]);
    status = await actOn(subject, request, caller, asker);
  }
  return status;
}

async function actOn(subject: Subject, request: Request, caller: Caller, asker: Asker): Promise<number> {
  switch (request.action) {
    case "run-session":
      return isOurs(subject) ? runInside(subject, request, caller) : runPlainly(subject, request, caller);
    case "begin-session":
    case "automatic-session":
      if (!subject.isPlain) {
        const { begin, runAutomatically } = await import("./begin.ts");
        const act = request.action === "begin-session" ? begin : runAutomatically;
        return act(subject, request, caller, asker);
      }
      if (request.action === "automatic-session") return runPlainly(subject, request, caller);
      // It is its own session.
      caller.say(1, `${subject.name}\n`);
      return 0;
    default:
      return subject.isPlain ? 0 : endOrRecover(subject, request, caller);
  }
}

async function endOrRecover(subject: Subject, request: Request, caller: Caller): Promise<number> {
  const { endOne, recoverOne } = await import("./end.ts");
  return request.action === "end-session" ? endOne(subject, request, caller) : recoverOne(subject, request, caller);
}

/** Only the superuser may run as somebody whom nobody but the root knows. @throws {UserError} */
function checkUser(name: string, { action }: Request, { uid }: Caller): void {
  const isRun = action === "run-session" || action === "automatic-session";
  if ((uid !== 0 || !isRun) && findHostUser(name) === undefined) throw refusal(`User ‘${name}’ not found`);
}

/** Whether it does something with sessions that there are. */
function isOfSessions({ action }: Request): boolean {
  return action !== "automatic-session" && action !== "begin-session";
}

function isSession({ namespace, isPlain }: Subject): boolean {
  return namespace === "session" || isPlain;
}

/** Without -c and sets there is nobody whom the action could mean. */
async function chosenSubjects(request: Request, caller: Caller): Promise<readonly Subject[]> {
  const ofSessions = isOfSessions(request);
  const scope: Scope = ofSessions ? "sessions" : "chroots";
  if (request.chroots.length > 0) return findSubjects(request.chroots, scope, caller);
  if (request.sets.size === 0) {
    throw refusal("The specified chroots are not defined in ‘/etc/schroot/schroot.conf’");
  }
  const { readCatalogue } = await import("./catalogue.ts");
  return readCatalogue(request, caller).filter(({ namespace }) => ofSessions || namespace !== "session");
}

function askerOf(caller: Caller): Asker {
  const { uid, name } = caller;
  let names: ReadonlySet<string> | undefined;
  return {
    uid,
    name,
    // The superuser may do everything, so mostly nobody asks for their groups.
    get groups() {
      return (names ??= new Set([caller.gid, ...caller.groups].map(groupNameOf)));
    },
  };
}

function isOurs({ name, keys, isPlain }: Subject): boolean {
  return !isPlain && isOwnSession(name, keys["mount-location"]);
}

/** In a directory as it is: a plain chroot's, or one that a real schroot has mounted a session on. */
async function runPlainly(subject: Subject, request: Request, caller: Caller): Promise<number> {
  const { withDirectory } = await import("../../session/plain.ts");
  const directory = pathOf(subject);
  const status = await withDirectory(directory, (root) => runIn({ root, subject, network: "host" }, request, caller));
  if (status === undefined) throw refusal(`Failed to change to directory ‘${directory}’: No such file or directory`);
  return status;
}

/** `end` may come as soon as the command has its root, and then finds it there. */
export async function runInside(subject: Subject, request: Request, caller: Caller): Promise<number> {
  try {
    const { ended } = await startInSession(subject.name, async (root, { network, hostname }) => {
      if (caller.uid !== 0 && !isStill(subject)) throw notFound([subject.name]);
      const started = Promise.withResolvers<void>();
      const running = runIn({ root, subject, network, hostname, onStarted: started.resolve }, request, caller);
      await Promise.race([started.promise, running]);
      return { ended: running };
    });
    return await ended;
  } catch (error) {
    if (error instanceof UserError && error.code === "not-found") throw notFound([subject.name]);
    throw error;
  }
}
