/** Ids from here on are people's, below it the system's (adduser.conf(5), login.defs(5)). */
const firstPerson = 1000;
const lastPerson = 60_000;

/**
 * A root's own database with the host's entries added. The root's system accounts stay as its packages made them; people are the host's, so that files
 * of theirs that are shared have the same owner inside; group members are those of both.
 * Databases without accounts (`hosts`, `services`, …) are the host's.
 * @param own the root's file, @param host the host's: latin1, so that every byte survives
 */
export function mergeDatabase(name: string, own: string, host: string): string {
  switch (name) {
    case "passwd":
      return mergeLines(own, host, (_, theirs) => (isPerson(theirs[2]) ? theirs : undefined));
    case "shadow":
      // Passwords go with people, and nothing here tells people from others: the root's own lines stay.
      return mergeLines(own, host, () => undefined);
    case "group":
      return mergeLines(own, host, (ours, theirs) => mergeMembers(ours, theirs, isPerson(theirs[2]) ? theirs[2] : ours[2]));
    case "gshadow":
      return mergeLines(own, host, (ours, theirs) => mergeMembers(ours, theirs, ours[2]));
    default:
      return host;
  }
}

function isPerson(id: string | undefined): boolean {
  return id !== undefined && Number(id) >= firstPerson && Number(id) < lastPerson;
}

/** The same group in both: the members of both, the id as given. */
function mergeMembers(ours: readonly string[], theirs: readonly string[], id: string | undefined): string[] {
  const members = new Set([...(ours[3] ?? "").split(","), ...(theirs[3] ?? "").split(",")].filter((member) => member !== ""));
  return [ours[0] ?? "", ours[1] ?? "", id ?? "", [...members].join(",")];
}

/** @param both what becomes of an entry that both have; undefined leaves the root's own */
function mergeLines(own: string, host: string, both: (ours: string[], theirs: string[]) => readonly string[] | undefined): string {
  const theirs = new Map(lines(host).map((line) => [nameOf(line), line]));
  const merged = lines(own).map((line) => {
    const other = theirs.get(nameOf(line));
    if (other === undefined || nameOf(line) === "") return line;
    theirs.delete(nameOf(line));
    return both(line.split(":"), other.split(":"))?.join(":") ?? line;
  });
  // NIS's `+` lines mean something only to the host.
  const added = [...theirs].filter(([name]) => name !== "" && !name.startsWith("+")).map(([, line]) => line);
  return [...merged, ...added].map((line) => `${line}\n`).join("");
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

function nameOf(line: string): string {
  return line.slice(0, Math.max(0, line.indexOf(":")));
}
