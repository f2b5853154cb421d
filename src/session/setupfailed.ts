import { UserError } from "../error.ts";
import { setupDirectory } from "./scripts.ts";

export type SetupStage = "setup-start" | "setup-recover" | "setup-stop";

/** A script that failed: the stage was given up with it. */
export class SetupFailed extends UserError {
  readonly stage: SetupStage;

  constructor(script: string, stage: SetupStage, reason: string) {
    super("failed", `run ${setupDirectory}/${script} (${stage}): ${reason}`, { hint: "its output is above" });
    this.stage = stage;
  }
}

/** The stage whose failure is the reason of an error, if that is the reason. */
export function failedStage(error: unknown): SetupStage | undefined {
  if (error instanceof SetupFailed) return error.stage;
  return error instanceof Error && error.cause instanceof SetupFailed ? error.cause.stage : undefined;
}
