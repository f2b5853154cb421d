import { existsSync } from "node:fs";
import { readStanzas } from "../chroot/config.ts";
import { configDirectory } from "../chroot/files.ts";
import type { Chroot } from "../chroot/types.ts";
import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt, readAll, renameAt, writeAll } from "../kernel/file.ts";
import { isForeignRoot } from "./binfmt.ts";
import { mountPlaceOf, mountPointOf, setupFile } from "./paths.ts";
import { findScripts, type Scripts, updateBinfmts } from "./scripts.ts";
import { runSetup, type SetupStatus, type SetupStep } from "./setup.ts";
import { SetupFailed, type SetupStage } from "./setupfailed.ts";
import { ownUser, setupVariables, userVariables, type Variables } from "./setupvariables.ts";
import type { SetupContext } from "./types.ts";

/** What is known of a session's setup until its end: the content of its `setup.json`. */
interface SetupState {
  readonly variables: Variables;
  /** Whether the scripts that need the session as it was have been run to take it down. */
  readonly isStopping: boolean;
}

/** Where among the scripts the tree is mounted and unmounted, and what runs in it is ended. */
const mounting = "10mount";
const killing = "15killprocs";

/**
 * The administrator's scripts of one session. Those before `10mount` run before its tree is mounted and after it is
 * unmounted; those behind `15killprocs` are stopped while the session is as it was, the others when its
 * processes have ended. `setup.json` is there from before the first of them until the session is removed: whoever
 * removes a session that has it runs them.
 */
export class SessionSetup {
  readonly #state: SetupState;
  readonly #context: SetupContext;

  private constructor(state: SetupState, context: SetupContext) {
    this.#state = state;
    this.#context = context;
  }

  /** Before anything is run for a new session. */
  static begin(dir: Fd, about: SetupSubject, context: SetupContext): SessionSetup {
    const { id, chroot, union, isSource, snapshot } = about;
    const mountPoint = mountPointOf(id);
    const keys = context.keys ?? describedKeys(chroot);
    const variables = setupVariables(keys, {
      id,
      mountPoint,
      path: mountPoint,
      mountDirectory: mountPlaceOf(id),
      name: chroot.name,
      selectedName: context.selectedName ?? about.selectedName,
      isSource,
      union,
      snapshot,
      verbosity: context.verbosity ?? chroot.messageVerbosity,
    });
    const state: SetupState = { variables, isStopping: false };
    writeState(dir, state);
    return new SessionSetup(state, context);
  }

  /**
   * For a session that is forked from another: of which it is told what the other was, by names of its own.
   * @returns undefined where the other has none
   */
  static fork(from: Fd, to: Fd, rename: (value: string) => string, context: SetupContext): SessionSetup | undefined {
    const other = SessionSetup.read(from);
    if (other === undefined) return undefined;
    const entries = Object.entries(other.#state.variables).map(([key, value]) => [key, rename(value)]);
    const state: SetupState = { variables: Object.fromEntries(entries) as Variables, isStopping: false };
    writeState(to, state);
    return new SessionSetup(state, context);
  }

  /** Of a session that is there, or half gone. */
  static read(dir: Fd, context: SetupContext = {}): SessionSetup | undefined {
    const opened = unless(["ENOENT"], () => openAt(dir, setupFile, O.RDONLY | O.NOFOLLOW));
    if (opened === undefined) return undefined;
    using file = opened;
    return new SessionSetup(JSON.parse(readAll(file).toString("utf8")) as SetupState, context);
  }

  /** Whether the session has its tree yet. */
  async start(stage: "setup-start" | "setup-recover", when: "unmounted" | "mounted"): Promise<void> {
    const isTurn = (name: string) => (when === "unmounted" ? name < mounting : name >= mounting);
    await this.#run(stage, "ok", isTurn);
  }

  /** Stops what needs the session as it was. May be done twice where whoever did it was killed. */
  async stop(status: SetupStatus): Promise<void> {
    if (this.#state.isStopping) return;
    await this.#run("setup-stop", status, (name) => name >= killing);
  }

  /** After stop(), when the session's record is gone: it isn't done again by whoever goes on after a kill. */
  markStopped(dir: Fd): SessionSetup {
    const state = { ...this.#state, isStopping: true };
    writeState(dir, state);
    return new SessionSetup(state, this.#context);
  }

  /** As stop(), for a session that goes anyway. @returns what failed */
  stopAnyway(status: SetupStatus): Promise<SetupFailed | undefined> {
    return failureOf(() => this.stop(status));
  }

  /** Goes on when the processes have ended, and when the tree is unmounted. @returns what failed */
  stopLateAnyway(status: SetupStatus, when: "mounted" | "unmounted"): Promise<SetupFailed | undefined> {
    const isTurn = (name: string) => (when === "mounted" ? name >= mounting && name < killing : name < mounting);
    return failureOf(() => this.#run("setup-stop", status, isTurn));
  }

  async #run(stage: SetupStage, status: SetupStatus, isTurn: (name: string) => boolean): Promise<void> {
    const { user = ownUser() } = this.#context;
    const variables = { ...this.#state.variables, ...userVariables(user) };
    const steps = stepsOf(await findScripts(), stage, variables).filter(({ name }) => isTurn(name));
    if (steps.length > 0) await runSetup(stage, status, variables, { steps, context: this.#context });
  }
}

/** What a new session is, as far as scripts are told. */
export interface SetupSubject {
  readonly id: string;
  readonly chroot: Chroot;
  readonly union: { readonly overlay: string; readonly underlay: string } | undefined;
  readonly isSource: boolean;
  readonly snapshot: string | undefined;
  readonly selectedName: string;
}

async function failureOf(step: () => Promise<void>): Promise<SetupFailed | undefined> {
  try {
    await step();
    return undefined;
  } catch (error) {
    if (error instanceof SetupFailed) return error;
    throw error;
  }
}

/** A temporary name and a rename: whoever finds it finds it whole. */
function writeState(dir: Fd, state: SetupState): void {
  const temporary = `.${setupFile}.new`;
  {
    using file = openAt(dir, temporary, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, { mode: 0o600 });
    writeAll(file, Buffer.from(JSON.stringify(state)));
  }
  renameAt(dir, temporary, dir, setupFile);
}

/** The keys as they are written. */
function describedKeys(chroot: Chroot): Readonly<Record<string, string>> {
  const { stanzas } = readStanzas(configDirectory, chroot.name);
  const stanza = stanzas.find(({ name }) => name === chroot.name);
  return Object.fromEntries([...(stanza?.keys ?? [])].map(([key, { value }]) => [key, value]));
}

/** The administrator's scripts, and those of our own steps that are somebody else's programs. */
function stepsOf({ own, native }: Scripts, stage: SetupStage, variables: Variables): SetupStep[] {
  const steps: SetupStep[] = own.map((name) => ({ name }));
  const path = variables["CHROOT_PATH"] ?? "";
  if (native.includes("binfmt") && existsSync(updateBinfmts) && stage !== "setup-stop" && isForeignRoot(path)) {
    steps.push({ name: "15binfmt" });
  }
  const services = (variables["SETUP_SERVICES"] ?? "").split(",").filter((service) => service !== "");
  if (native.includes("services") && services.length > 0) {
    const isStop = stage === "setup-stop";
    const action = isStop ? "stop" : "start";
    const control = (service: string) => [
      "/usr/sbin/chroot",
      path,
      "/usr/sbin/invoke-rc.d",
      "--force",
      service,
      action,
    ];
    steps.push({ name: "70services", instead: (isStop ? services.toReversed() : services).map(control) });
  }
  return steps;
}
