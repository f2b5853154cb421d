/** Ids from here on are people's, below it the system's (adduser.conf(5), login.defs(5)). */
const firstPerson = 1000;
const lastPerson = 60_000;

/** Whether a name-service database holds accounts, of which a root has its own. */
export function isAccounts(name: string): boolean {
  return name === "passwd" || name === "shadow" || name === "group" || name === "gshadow";
}

/**
 * A root's own accounts with the host's added. The root's system accounts stay as its packages made them; people are
 * the host's, so that files of theirs that are shared have the same owner inside; group members are those of both.
 * @param own the root's file, @param host the host's: latin1, so that every byte survives
 */
export function mergeDatabase(name: string, own: string, host: string): string {
  const theirs = new Map<string, string>();
  for (const line of host.split("\n")) if (isEntry(line)) theirs.set(nameOf(line), line);
  let merged = "";
  for (const line of own.split("\n")) {
    if (line === "") continue;
    const other = theirs.get(nameOf(line));
    theirs.delete(nameOf(line));
    merged += `${other === undefined || other === line ? line : mergeEntry(name, line, other)}\n`;
  }
  for (const line of theirs.values()) merged += `${line}\n`;
  return merged;
}

/** An entry that both have, and differently. */
function mergeEntry(name: string, ours: string, theirs: string): string {
  const id = theirs.split(":")[2];
  switch (name) {
    case "passwd":
      return isPerson(id) ? theirs : ours;
    case "group":
      return mergeMembers(ours, theirs, isPerson(id) ? id : undefined);
    case "gshadow":
      return mergeMembers(ours, theirs, undefined);
    default:
      // Passwords go with people, and nothing in shadow(5) tells people from others: the root's own line stays.
      return ours;
  }
}

/** Somebody as passwd(5) is to have them. */
interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/**
 * passwd(5) with this account, whose own words of the person (the fifth field) stay. Nobody else keeps the number: ls(1)
 * would show the person's files as theirs.
 * @param text latin1, so that every byte survives
 */
export function withAccount(text: string, { name, uid, gid, home, shell }: Account): string {
  const lines = linesOf(text);
  const own = Buffer.from(name).toString("latin1");
  const old = lines.find((line) => nameOf(line) === own)?.split(":");
  const [person, path, program] = [old?.[4] ?? "", home, shell].map((field) => Buffer.from(field).toString("latin1"));
  const entry = [own, old?.[1] ?? "x", uid, gid, person, path, program].join(":");
  const hasNumber = (line: string) => uid >= firstPerson && line.split(":")[2] === String(uid);
  const isTheirs = (line: string) => nameOf(line) === own || hasNumber(line);
  const at = lines.findIndex(isTheirs);
  if (at < 0) return [...lines, entry, ""].join("\n");
  const kept = lines.flatMap((line, index) => (index === at ? [entry] : isTheirs(line) ? [] : [line]));
  return [...kept, ""].join("\n");
}

/** group(5) with an entry for each of these numbers that has none; a name that another number has stays that one's. */
export function withGroups(text: string, groups: readonly { readonly name: string; readonly gid: number }[]): string {
  const lines = linesOf(text);
  const numbers = new Set(lines.map((line) => line.split(":")[2]));
  const names = new Set(lines.map(nameOf));
  const missing = groups.filter(({ name, gid }) => !numbers.has(String(gid)) && !names.has(name));
  if (missing.length === 0) return text;
  const added = missing.map(({ name, gid }) => `${Buffer.from(name).toString("latin1")}:x:${gid}:`);
  return [...lines, ...added, ""].join("\n");
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

function isPerson(id: string | undefined): boolean {
  return id !== undefined && Number(id) >= firstPerson && Number(id) < lastPerson;
}

/** The same group in both: the members of both, and the root's own id unless another is given. */
function mergeMembers(ours: string, theirs: string, id: string | undefined): string {
  const [name = "", password = "", ownId = "", ownMembers = ""] = ours.split(":");
  const members = new Set(
    [...ownMembers.split(","), ...(theirs.split(":")[3] ?? "").split(",")].filter((member) => member !== ""),
  );
  return [name, password, id ?? ownId, [...members].join(",")].join(":");
}

/** NIS's `+` and `-` lines mean something only to the host. */
function isEntry(line: string): boolean {
  return line !== "" && !line.startsWith("+") && !line.startsWith("-") && line.includes(":");
}

function nameOf(line: string): string {
  return line.slice(0, Math.max(0, line.indexOf(":")));
}
