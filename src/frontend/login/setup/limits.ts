import { readdirSync } from "node:fs";
import { readText } from "./edits.ts";

/**
 * What our client must be allowed to have: address space, in KiB, though it uses little of it (measured: 2.4 GiB); processes, of which it is
 * two itself, and the shell is started by one that counts while it does so.
 */
const needed: Readonly<Record<string, { readonly least: number; readonly text: string; readonly instead: string }>> = {
  as: { least: 3 * 1024 * 1024, text: "3145728 (3 GiB)", instead: "login.memory" },
  data: { least: 3 * 1024 * 1024, text: "3145728 (3 GiB)", instead: "login.memory" },
  nproc: { least: 5, text: "5", instead: "login.pids" },
};

/**
 * What limits.conf(5) says that keeps our program from starting, a line each: it is the login's, so nobody for whom that is meant
 * gets in, whatever `login.on-failure` says.
 */
export function lowLimits(directory = "/etc/security"): string[] {
  const files = [`${directory}/limits.conf`, ...dropIns(`${directory}/limits.d`)];
  return files.flatMap((file) =>
    (readText(file) ?? "").split("\n").flatMap((line, index) => tooLow(line, file, index + 1)),
  );
}

function tooLow(line: string, file: string, number: number): string[] {
  const [domain = "", , item = "", value = ""] = line.replace(/#.*/, "").trim().split(/\s+/);
  const limit = Object.hasOwn(needed, item) && domain !== "root" ? needed[item] : undefined;
  // `unlimited` and the like are no numbers.
  if (limit === undefined || !(Number(value) >= 0 && Number(value) < limit.least)) return [];
  return [
    `${file}:${number}: a limit of ${item} below ${limit.text} keeps our program from starting, and ${domain} from logging in: limit what is used, by ${limit.instead}`,
  ];
}

function dropIns(directory: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => name.endsWith(".conf"));
    return names.toSorted().map((name) => `${directory}/${name}`);
  } catch {
    return []; // There is none.
  }
}
