import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { isErrno, unless } from "../../kernel/error.ts";
import { type AptSource, parseSources } from "./sources.ts";

/** The host's own enabled apt sources; none where it has no apt. @see sources.list(5) */
export function readHostSources(): AptSource[] {
  const files = ["/etc/apt/sources.list", ...filesIn("/etc/apt/sources.list.d", /^[\w.-]+\.(?:list|sources)$/)];
  return files.flatMap((file) => parseSources(readText(file) ?? ""));
}

/** The host's release. @see os-release(5) */
export function hostCodename(): string | undefined {
  const text = readText("/etc/os-release") ?? readText("/usr/lib/os-release") ?? "";
  return /^VERSION_CODENAME=["']?([\w.-]+)/m.exec(text)?.[1];
}

export interface AptSettings {
  /** Lines of apt.conf(5) that the new root's own apt needs too. */
  readonly kept: readonly string[];
  /** Lines that hold a password, or name a program or file of the host's: for the making only. */
  readonly temporary: readonly string[];
  /** Files of apt_auth.conf(5), for the making only. */
  readonly logins: readonly Buffer[];
  /** What apt.conf says of proxies, as environment variables, for programs that aren't apt. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How the host's apt reaches archives and what it checks of them: proxies, certificates, dates, logins. */
export function readHostSettings(): AptSettings {
  const lines = settingLines(dumpSettings());
  const temporary = lines.filter(isForTheHost);
  const proxies = [...lines.join("\n").matchAll(/^Acquire::(https?|ftp)::Proxy "([^"]+)";$/gim)];
  return {
    kept: lines.filter((line) => !isForTheHost(line)),
    temporary,
    logins: ["/etc/apt/auth.conf", ...filesIn("/etc/apt/auth.conf.d", /\.conf$/)].flatMap(
      (file) => readBytes(file) ?? [],
    ),
    environment: Object.fromEntries(
      proxies.map(([, scheme = "", proxy = ""]) => [`${scheme.toLowerCase()}_proxy`, proxy]),
    ),
  };
}

function dumpSettings(): string {
  try {
    return execFileSync("apt-config", ["dump"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch (error) {
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  }
}

const wanted =
  /^Acquire::(?:(?:https?|ftp|tor|socks5h?)(?:::\S*)?|Check-Date|Check-Valid-Until|M(?:in|ax)-(?:Valid|Future)Time|Retries|ForceIPv[46]|Allow\w+Repositories) "[^"]+";$/i;

/** @param dump of `apt-config dump`: `Name::Of::It "value";`, of lists with `::` at the end */
export function settingLines(dump: string): string[] {
  return dump.split("\n").filter((line) => wanted.test(line) && !line.endsWith('Repositories "0";'));
}

export function isForTheHost(line: string): boolean {
  const [, name = "", value = ""] = /^(\S+) "(.*)";$/.exec(line) ?? [];
  return (
    /auto-?detect|pass|ssl|::ca|cert|key/i.test(name) || value.startsWith("/") || /^[a-z0-9]+:\/\/[^/]*@/i.test(value)
  );
}

function filesIn(directory: string, pattern: RegExp): string[] {
  const names = unless(["ENOENT", "ENOTDIR"], () => readdirSync(directory)) ?? [];
  return names
    .filter((name) => pattern.test(name))
    .toSorted()
    .map((name) => `${directory}/${name}`);
}

function readBytes(file: string): Buffer | undefined {
  const stat = unless(["ENOENT"], () => statSync(file));
  return stat?.isFile() === true ? readFileSync(file) : undefined;
}

function readText(file: string): string | undefined {
  return readBytes(file)?.toString("utf8");
}
