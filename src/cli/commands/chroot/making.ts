import { checkFree, type NewChroot, writeChroot } from "../../../chroot/write.ts";
import { checkName } from "../../../chroot/names.ts";
import { UserError } from "../../../error.ts";
import { type RootType, rootTypes } from "../../../image/keep.ts";
import { removeRoot } from "../../../image/place.ts";
import type { Phase, Reporting } from "../../../image/progress.ts";
import type { Common, OptionSpec } from "../../command.ts";
import { isUsers } from "../../../places.ts";
import { showProgress } from "../../progress.ts";
import { type ChrootDescription, describeChroot } from "./describe.ts";

/** The keys of the terminal, a service manager or a hang-up stopped it; what was made has been removed. */
class Interrupted extends UserError {
  readonly status: number;

  constructor(name: string, signal: string, number: number) {
    super("failed", `${signal}: the chroot ${name} is not made, nothing of it is left`);
    this.status = 128 + number;
  }
}

const stopping = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** `--type` of the verbs that make chroots. */
export const typeOption = {
  type: "string",
  placeholder: "TYPE",
  completes: rootTypes,
  summary: "how its root is kept, as schroot.conf(5) names it: directory, file, loopback, btrfs-snapshot",
} as const satisfies OptionSpec;

/** What else was given was refused as it was read. */
export function parseType(text: string | undefined): { readonly type?: RootType } {
  const type = rootTypes.find((each) => each === text);
  if (isUsers && (type === "loopback" || type === "btrfs-snapshot")) {
    throw new UserError("unsupported", `--type ${type} needs root: nobody else may mount it`, {
      hint: "without root there are --type directory and --type file",
    });
  }
  return type === undefined ? {} : { type };
}

const phaseTexts: Readonly<Record<Phase, string>> = {
  update: "fetch the lists of packages",
  download: "fetch packages",
  extract: "unpack the essential packages",
  install: "set packages up",
  clean: "clean up",
  unpack: "unpack the archive",
  finish: "make it a chroot",
  sync: "write it to the disk",
};

/**
 * Makes a root and describes it as a chroot, both or neither; shows how far it is, and stops where a signal says so.
 * @param make makes the root and returns its path
 */
export async function makeChroot(
  { name, type, description }: Omit<NewChroot, "directory">,
  common: Common,
  make: (reporting: Reporting) => Promise<string>,
): Promise<ChrootDescription> {
  checkName(name);
  checkFree(name);
  const directory = await withProgress(name, common, make);
  try {
    return describeChroot(writeChroot({ name, ...(type === undefined ? {} : { type }), directory, description }));
  } catch (error) {
    await removeRoot(name);
    throw error;
  }
}

async function withProgress<T>(
  name: string,
  { quiet, json }: Common,
  make: (reporting: Reporting) => Promise<T>,
): Promise<T> {
  const view = showProgress(quiet || json ? "quiet" : "shown");
  const controller = new AbortController();
  const handlers = Object.entries(stopping).map(([signal, number]) => {
    const stop = () => {
      // Who asks twice doesn't want to wait; what is left then is cleared away by the next one.
      if (controller.signal.aborted) process.exit(128 + number);
      controller.abort(new Interrupted(name, signal, number));
    };
    process.on(signal, stop);
    return () => process.off(signal, stop);
  });
  try {
    return await make({
      onProgress: ({ phase, fraction }) => view.show(phaseTexts[phase], fraction),
      onWarning: (text) => view.line(`warning: ${text}`),
      signal: controller.signal,
    });
  } catch (error) {
    // What fails after it was stopped fails because it was stopped.
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    view.end();
    for (const forget of handlers) forget();
  }
}
