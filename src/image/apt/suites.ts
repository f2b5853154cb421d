import type { AptSource } from "./sources.ts";

/** Names that move from release to release; a host's sources may use them for its own. */
const moving = ["oldstable", "stable", "testing", "unstable", "sid"];

/** Development's suites have no updates of their own. */
const withoutPockets = new Set(["sid", "unstable", "experimental", "rc-buggy"]);

/** Up to Debian 10, security updates were in `buster/updates`, not `buster-security`. */
const withOldSecurity = new Set(["lenny", "squeeze", "wheezy", "jessie", "stretch", "buster"]);

/** Debian has had this component since 12. */
const beforeFirmware = new Set([...withOldSecurity, "bullseye"]);

/**
 * Apt sources for another suite of the distribution that the host's own sources are for.
 * Sources that have this suite already are taken as they are. Else those of the host's own release are, with the
 * suites changed; other sources are left out, since nothing says that they have that suite.
 * @param codename of the host's own release, as os-release(5) has it
 * @returns no sources where the host's name none of its own release
 */
export function sourcesForSuite(host: readonly AptSource[], suite: string, codename: string | undefined): AptSource[] {
  const known = new Set(host.flatMap(({ suites }) => suites));
  if (known.has(suite)) return [...host];
  const own = new Set(codename === undefined ? moving : [codename, ...moving]);
  const isOwn = suite === codename && moving.some((name) => known.has(name));
  if (isOwn) return [...host];
  return host.flatMap((source) => {
    const suites = source.suites.flatMap((name) => changeSuite(name, own, suite));
    if (suites.length === 0) return [];
    return [{ ...source, suites: [...new Set(suites)], components: changeComponents(source.components, suite) }];
  });
}

function changeSuite(name: string, own: ReadonlySet<string>, suite: string): string[] {
  const [, base = "", pocket = ""] = /^(.*?)(-updates|-security|\/updates)?$/.exec(name) ?? [];
  if (!own.has(base)) return [];
  if (pocket === "") return [suite];
  if (withoutPockets.has(suite)) return [];
  if (pocket === "-updates") return [`${suite}-updates`];
  return [withOldSecurity.has(suite) ? `${suite}/updates` : `${suite}-security`];
}

function changeComponents(components: readonly string[], suite: string): string[] {
  return components.filter((component) => component !== "non-free-firmware" || !beforeFirmware.has(suite));
}

/** Whether a suite is meant to have security updates and these sources have none of them. */
export function lacksSecurity(sources: readonly AptSource[], suite: string): boolean {
  if (withoutPockets.has(suite)) return false;
  return !sources.some(({ suites }) => suites.some((name) => name.endsWith("-security") || name.endsWith("/updates")));
}
