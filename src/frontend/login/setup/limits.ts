import { readdirSync } from "node:fs";
import { readText } from "./edits.ts";

/** So much address space our client must be allowed to take, though it uses little of it. Measured: 2.4 GiB. */
const neededKiB = 3 * 1024 * 1024;

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
  const isMeant = (item === "as" || item === "data") && domain !== "root";
  // `unlimited` and the like are no numbers.
  if (!isMeant || !(Number(value) >= 0 && Number(value) < neededKiB)) return [];
  return [
    `${file}:${number}: a limit of ${item} below ${neededKiB} (3 GiB) keeps our program from starting, and ${domain} from logging in: limit what is used, by login.memory`,
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
