import { readFileSync } from "node:fs";
import { UserError } from "../error.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { copyKeyring, layAptFiles, removeTemporary, replaceSources } from "./apt/lay.ts";
import { type AptSettings, hostCodename, readHostSettings, readHostSources } from "./apt/host.ts";
import { type AptSource, formatSources, keyringsOf, parseSources } from "./apt/sources.ts";
import { lacksSecurity, sourcesForSuite } from "./apt/suites.ts";
import { type Bootstrap, findBootstrap, runBootstrap } from "./bootstrap.ts";
import { finishRoot } from "./finish.ts";
import { type KeepOptions, keepRoot } from "./keep.ts";
import { debootstrap, mmdebstrap, type Selection, type Variant } from "./programs.ts";
import type { Reporting } from "./progress.ts";

/**
 * minbase has all that a login and a package's scripts may count on (bash, su, passwd, dpkg, apt), in half the time and
 * space of buildd; what else one session needs, its own apt installs into its own upper layer.
 */
export const defaultVariant: Variant = "minbase";

export interface CreateOptions extends KeepOptions {
  /** A release, by codename or not: `bookworm`, `stable`, `sid`. */
  readonly suite: string;
  /** A file of apt sources, taken as it is. Without it: the host's, changed to the suite. */
  readonly sources?: string;
  /** The URI of an archive, instead of the host's. */
  readonly mirror?: string;
  /** Further packages. */
  readonly include?: readonly string[];
  /** Without it: defaultVariant. */
  readonly variant?: Variant;
}

/**
 * Makes a Debian root with mmdebstrap(1), or debootstrap(8) where that is missing.
 * @returns the root's path
 * @throws {UserError} unsupported: neither is here; failed: with what it said; exists; no-space; config
 */
export async function createChrootRoot(name: string, options: CreateOptions): Promise<string> {
  checkOptions(options);
  const plan = planRoot(options);
  return keepRoot(name, (root) => makeRoot(root, plan, options), options);
}

function checkOptions({ suite, mirror, sources, include = [] }: CreateOptions): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9.+_-]*$/.test(suite))
    throw new UserError("usage", `${JSON.stringify(suite)} can't be a suite`);
  if (mirror !== undefined && !/^[a-z0-9+]+:\/*\S+$/.test(mirror))
    throw new UserError("usage", `${JSON.stringify(mirror)} is no URI`);
  if (mirror !== undefined && sources !== undefined)
    throw new UserError("usage", "sources and a mirror can't both be given");
  const bad = include.find((name) => !/^[^\s,-][^\s,]*$/.test(name));
  if (bad !== undefined) throw new UserError("usage", `${JSON.stringify(bad)} can't be a package's name`);
}

function planRoot(options: CreateOptions): Plan {
  const program = findBootstrap();
  const { suite, variant = defaultVariant, include = [] } = options;
  const sources = options.sources === undefined ? chooseSources(options) : readSourcesFile(options.sources);
  const packages = [...new Set([...include, ...certificates(sources.list, variant)])];
  return {
    program,
    settings: readHostSettings(),
    selection: { suite, variant, packages, sources: sources.list, sourcesText: sources.text },
  };
}

interface Plan {
  readonly program: Bootstrap["program"];
  readonly settings: AptSettings;
  readonly selection: Selection;
}

interface Sources {
  readonly list: readonly AptSource[];
  readonly text: string;
}

function readSourcesFile(file: string): Sources {
  const text = unless(["ENOENT", "ENOTDIR"], () => readFileSync(file, "utf8"));
  if (text === undefined) throw new UserError("not-found", `there is no ${file}`);
  const list = parseSources(text);
  if (list.length === 0) throw new UserError("config", `${file} has no apt sources`, { hint: "see sources.list(5)" });
  return { list, text };
}

function chooseSources({ suite, mirror, onWarning }: CreateOptions): Sources {
  const found = sourcesForSuite(readHostSources(), suite, hostCodename());
  if (mirror !== undefined) {
    const like = found.find(({ suites }) => suites.includes(suite));
    const components = like === undefined || like.components.length === 0 ? ["main"] : like.components;
    const options = like?.options ?? new Map<string, string>();
    const list = [{ types: ["deb"], uris: [mirror], suites: [suite], components, options }];
    return { list, text: formatSources(list) };
  }
  if (found.length === 0) {
    throw new UserError("config", `the host's apt sources name no archive that could have ${suite}`, {
      hint: "name some: --sources FILE or --mirror URI",
    });
  }
  if (lacksSecurity(found, suite)) onWarning?.(`the host's apt sources name no security updates for ${suite}`);
  return { list: found, text: formatSources(found) };
}

/** Archives on https can't be reached from inside without them. */
function certificates(sources: readonly AptSource[], variant: Variant): string[] {
  const hasApt = !["extract", "custom", "essential"].includes(variant);
  return hasApt && sources.some(({ uris }) => uris.some((uri) => uri.startsWith("https:"))) ? ["ca-certificates"] : [];
}

async function makeRoot(root: Fd, { program, settings, selection }: Plan, reporting: Reporting): Promise<void> {
  layAptFiles(root, settings);
  const bootstrap = (program === "mmdebstrap" ? mmdebstrap : debootstrap)(selection, root);
  await runBootstrap(bootstrap, settings.environment, root, reporting);
  reporting.onProgress?.({ phase: "finish", fraction: 0.96 });
  removeTemporary(root, settings);
  if (program === "debootstrap") replaceSources(root, selection.sourcesText);
  for (const keyring of keyringsOf(selection.sources)) copyKeyring(root, keyring);
  finishRoot(root);
}
