/** One entry of apt's sources, in the terms of the deb822 format. @see sources.list(5) */
export interface AptSource {
  /** `deb`, `deb-src`. */
  readonly types: readonly string[];
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Further fields by their names; values may have several lines. */
  readonly options: ReadonlyMap<string, string>;
}

/** A sources file, in whichever of the two formats it is. What apt wouldn't take is left to apt to complain about. */
export function parseSources(text: string): AptSource[] {
  return hasOneLineSources(text) ? parseOneLine(text) : parseDeb822(text);
}

export function hasOneLineSources(text: string): boolean {
  return /^[ \t]*deb(?:-src)?[ \t]/m.test(text);
}

function parseOneLine(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*(deb|deb-src)\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (match === null) continue;
    const [, type = "", options = "", uri = "", suite = "", components = ""] = match;
    sources.push({
      types: [type],
      uris: [uri],
      suites: [suite],
      components: words(components),
      options: parseOptions(options),
    });
  }
  return sources;
}

/** Those names that don't follow from the one-line format's by capitals. */
const fieldNames: Readonly<Record<string, string>> = {
  arch: "Architectures",
  lang: "Languages",
  target: "Targets",
  pdiffs: "PDiffs",
  "inrelease-path": "InRelease-Path",
};

function parseOptions(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const option of words(text)) {
    const match = /^([^=+-][^=]*?)([+-]?)=(.*)$/.exec(option);
    if (match === null) continue;
    const [, name = "", sign = "", value = ""] = match;
    const field = fieldNames[name.toLowerCase()] ?? name.replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase());
    const suffix = sign === "+" ? "-Add" : sign === "-" ? "-Remove" : "";
    options.set(field + suffix, value.replaceAll(",", " "));
  }
  return options;
}

const listFields = new Set(["types", "uris", "suites", "components", "enabled"]);

function parseDeb822(text: string): AptSource[] {
  const sources: AptSource[] = [];
  const withoutComments = text.split("\n").filter((line) => !line.startsWith("#"));
  for (const paragraph of withoutComments.join("\n").split(/\n[ \t]*\n/)) {
    const fields = new Map<string, { name: string; value: string }>();
    for (const match of paragraph.matchAll(/^([^\s:#][^\s:]*)[ \t]*:[ \t]*(.*(?:\n[ \t].*)*)/gm)) {
      const [, name = "", value = ""] = match;
      fields.set(name.toLowerCase(), { name, value: value.trimEnd() });
    }
    const list = (name: string) => words(fields.get(name)?.value ?? "");
    if (list("uris").length === 0 || /^(?:no|false|0|off|without|disable)$/i.test(fields.get("enabled")?.value ?? ""))
      continue;
    const options = [...fields]
      .filter(([key]) => !listFields.has(key))
      .map(([, { name, value }]) => [name, value] as const);
    sources.push({
      types: list("types"),
      uris: list("uris"),
      suites: list("suites"),
      components: list("components"),
      options: new Map(options),
    });
  }
  return sources;
}

export function formatSources(sources: readonly AptSource[]): string {
  const paragraphs = sources.map(({ types, uris, suites, components, options }) => {
    const lists = { Types: types, URIs: uris, Suites: suites, Components: components };
    const lines = Object.entries(lists)
      .filter(([, list]) => list.length > 0)
      .map(([name, list]) => `${name}: ${list.join(" ")}`);
    lines.push(...Array.from(options, ([name, value]) => `${name}: ${value}`));
    return `${lines.join("\n")}\n`;
  });
  return paragraphs.join("\n");
}

/** The keyring files that sources name; keys that stand in the source itself and fingerprints are none. */
export function keyringsOf(sources: readonly AptSource[]): string[] {
  const values = sources.flatMap(({ options }) =>
    Array.from(options).filter(([name]) => name.toLowerCase() === "signed-by"),
  );
  return [
    ...new Set(values.flatMap(([, value]) => words(value.replaceAll(",", " "))).filter((word) => word.startsWith("/"))),
  ];
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
