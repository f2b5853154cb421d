import { mountFstab, mountPointsBelow, readFstab, resolveDirectory } from "../../session/mounts.ts";
import type { Caller } from "./caller.ts";
import { refusal, tellError } from "./messages.ts";
import { type Option, splitWords } from "./words.ts";

/** schroot's two programs for setup scripts, which look for them in $LIBEXEC_DIR. */
export type MountProgram = "schroot-mount" | "schroot-listmounts";

interface Orders {
  readonly help: boolean;
  readonly version: boolean;
  readonly isDryRun: boolean;
  readonly fstab: string | undefined;
  readonly mountPoint: string | undefined;
}

const common: readonly Option[] = [
  { name: "help", short: "h", takes: "nothing" },
  { name: "version", short: "V", takes: "nothing" },
  { name: "quiet", short: "q", takes: "nothing" },
  { name: "verbose", short: "v", takes: "nothing" },
  { name: "debug", takes: "one value" },
];
const mountPointOption: Option = { name: "mountpoint", short: "m", takes: "one value" };
const options: Readonly<Record<MountProgram, readonly Option[]>> = {
  "schroot-listmounts": [...common, mountPointOption],
  "schroot-mount": [
    ...common,
    { name: "dry-run", short: "d", takes: "nothing" },
    { name: "fstab", short: "f", takes: "one value" },
    mountPointOption,
  ],
};

/** @param called how the program was called, for messages @returns exit status */
export function runMountProgram(
  program: MountProgram,
  called: string,
  argv: readonly string[],
  caller: Caller,
): number {
  try {
    const orders = readOrders(program, argv);
    if (orders.help) caller.say(2, helpText(program));
    else if (orders.version) caller.say(2, `${program} (Debian sbuild) 1.6.13 (13 Aug 2022)\n`);
    else if (program === "schroot-mount") return mount(orders, called, caller);
    else list(orders, called, caller);
    return 0;
  } catch (error) {
    tellError(caller, error);
    return 1;
  }
}

function readOrders(program: MountProgram, argv: readonly string[]): Orders {
  const { options: given } = splitWords(argv, options[program]);
  return {
    help: given.has("help"),
    version: given.has("version"),
    isDryRun: given.has("dry-run"),
    fstab: given.get("fstab")?.[0],
    mountPoint: given.get("mountpoint")?.[0],
  };
}

/** What mount(8) ends with where the kernel refuses: schroot's program becomes that. */
const mountFailed = 32;

function mount({ fstab, mountPoint, isDryRun }: Orders, called: string, caller: Caller): number {
  const wanted = requireMountPoint(mountPoint, called);
  const root = resolveDirectory(wanted);
  if (root === undefined) throw refusal(`Failed to resolve path “${wanted}”: No such file or directory`);
  if (fstab === undefined) return 0;
  const text = readFstab(fstab);
  if (text === undefined) throw refusal(`Failed to open mount file ‘${fstab}’: No such file or directory`);
  if (isDryRun) return 0;
  try {
    mountFstab(root, text, fstab);
    return 0;
  } catch (error) {
    tellError(caller, error);
    return mountFailed;
  }
}

function list({ mountPoint }: Orders, called: string, caller: Caller): void {
  const wanted = requireMountPoint(mountPoint, called);
  const path = resolveDirectory(wanted);
  if (path === undefined) throw refusal(`Failed to find ‘${wanted}’: No such file or directory`);
  for (const point of mountPointsBelow(path)) caller.say(1, `${point}\n`);
}

function requireMountPoint(mountPoint: string | undefined, called: string): string {
  if (mountPoint !== undefined && mountPoint !== "") return mountPoint;
  const advice = `Run “${called} --help” to list usage example and all available options`;
  throw refusal("No mount point specified", advice);
}

function helpText(program: MountProgram): string {
  const [purpose, more] =
    program === "schroot-mount" ? (["mount filesystems", mountHelp] as const) : (["list mount points", ""] as const);
  return `Usage:
  ${program}  [OPTION…] — ${purpose}

Actions:
  -h [ --help ]            Show help options
  -V [ --version ]         Print version information

General options:
  -q [ --quiet ]           Show less output
  -v [ --verbose ]         Show more output

Mount:
${more}  -m [ --mountpoint ] arg  Mountpoint to check (full path)
`;
}

const mountHelp = `  -d [ --dry-run ]         Perform a simulation of actions which would be taken
  -f [ --fstab ] arg       fstab file to read (full path)
`;
