import { writeSync } from "node:fs";
import { KernelError } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { type OnOutput, runPiped } from "../kernel/piped.ts";
import type { Outcome } from "../kernel/wait.ts";
import { setupDirectory } from "./scripts.ts";
import { SetupFailed, type SetupStage } from "./setupfailed.ts";
import { isMounter } from "./stock.ts";
import type { SetupContext } from "./types.ts";
import type { Variables } from "./setupvariables.ts";

/** "fail": the stage undoes one that failed. */
export type SetupStatus = "ok" | "fail";

/** One step of a stage: a script by its name, or a step of ours in the place of that script. */
export interface SetupStep {
  readonly name: string;
  /** Run instead of the script: a program with its arguments, in turn; none keeps a session from being ended. */
  readonly instead?: readonly (readonly string[])[];
  /** Also what it does for mounting: in a session of a real schroot's. */
  readonly isWhole?: boolean;
}

/**
 * Runs the steps of a stage as schroot does its setup scripts: by name, backwards when a session is taken down, and none
 * after one that has failed. A script has the working directory `/`, umask 022, the caller's standard input, only these
 * variables, and its output goes to the caller line by line, with its name in front.
 * @throws {SetupFailed}
 */
export async function runSetup(
  stage: SetupStage,
  status: SetupStatus,
  variables: Variables,
  options: { readonly steps: readonly SetupStep[]; readonly context?: SetupContext },
): Promise<void> {
  const { context = {} } = options;
  const say = context.say ?? ((text: string) => void writeSync(2, text));
  const stdin = context.stdin ?? new Fd(0, "standard input");
  const sorted = options.steps.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const step of stage === "setup-stop" ? sorted.toReversed() : sorted) {
    if (variables["VERBOSE"] === "verbose") say(`I: Executing ‘${step.name} ${stage} ${status}’\n`);
    const env = Object.entries(
      isMounter(step.name) && step.isWhole !== true ? withoutMounts(variables) : variables,
    ).map(([key, value]) => `${key}=${value}`);
    const path = `${setupDirectory}/${step.name}`;
    const programs = step.instead ?? [[path, stage, status]];
    for (const argv of programs) {
      const reason = await runOne(step.name, argv, env, { stdin, say });
      const isTolerated = step.instead !== undefined && stage === "setup-stop";
      if (reason !== undefined && !isTolerated) throw new SetupFailed(step.name, stage, reason);
    }
  }
}

/** @returns why it failed */
async function runOne(
  name: string,
  argv: readonly string[],
  env: readonly string[],
  { stdin, say }: { stdin: Fd; say: (text: string) => void },
): Promise<string | undefined> {
  const lines = new Lines(name, say);
  try {
    return whyFailed(await runPiped({ file: argv[0] ?? "", argv, env }, stdin, lines.add));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return error.message;
  } finally {
    lines.end();
  }
}

function whyFailed(outcome: Exclude<Outcome, { kind: "stopped" }>): string | undefined {
  if (outcome.kind === "killed") return `ended by signal ${outcome.signal}`;
  return outcome.status === 0 ? undefined : `status ${outcome.status}`;
}

/** The tree is there when they run, and goes by itself: what they add to it is all that is wanted of them. */
function withoutMounts(variables: Variables): Variables {
  const others = Object.entries(variables).filter(([key]) => !/^(?:CHROOT_UNION_.*|SETUP_FSTAB)$/.test(key));
  return { ...Object.fromEntries(others), CHROOT_TYPE: "custom" };
}

/** Puts whole lines of two streams together, and schroot's prefix before them. */
class Lines {
  readonly #name: string;
  readonly #say: (text: string) => void;
  readonly #rest: Record<1 | 2, string> = { 1: "", 2: "" };
  readonly #decoders: Readonly<Record<1 | 2, TextDecoder>> = { 1: new TextDecoder(), 2: new TextDecoder() };

  constructor(name: string, say: (text: string) => void) {
    this.#name = name;
    this.#say = say;
  }

  readonly add: OnOutput = (stream, bytes) => {
    const lines = (this.#rest[stream] + this.#decoders[stream].decode(bytes, { stream: true })).split("\n");
    this.#rest[stream] = lines.pop() ?? "";
    for (const line of lines) this.#print(stream, line);
  };

  end(): void {
    for (const stream of [1, 2] as const) if (this.#rest[stream] !== "") this.#print(stream, this.#rest[stream]);
  }

  #print(stream: 1 | 2, line: string): void {
    this.#say(`${stream === 1 ? "I" : "E"}: ${this.#name}: ${line}\n`);
  }
}
