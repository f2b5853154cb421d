import { KeyReader } from "./keys.ts";
import { takeLogin } from "./login.ts";
import { isPermittedName, nameHint, nameProblem } from "./names.ts";
import type { Stanza } from "./parse.ts";
import type { Problem } from "./problem.ts";
import { findType, typeProblem } from "./types/index.ts";
import type { Chroot, ChrootBase, SetupFiles } from "./types.ts";
import {
  BadValue,
  hasComment,
  parseAbsolutePaths,
  parseAliases,
  parseBoolean,
  parseConfigPath,
  parseExpression,
  parseList,
  parseNames,
  parseOneOf,
  type ParseValue,
  parseText,
  unlessEmpty,
} from "./values.ts";

/** A stanza's meaning: the chroot, or what is wrong with it. */
export type ChrootReading =
  | { readonly kind: "chroot"; readonly chroot: Chroot }
  | { readonly kind: "spoilt"; readonly problems: readonly Problem[] };

/** Makes a chroot of a stanza. */
export function readStanza(stanza: Stanza): ChrootReading {
  if (stanza.name === "") return { kind: "spoilt", problems: stanza.problems.slice(0, 1) };
  const keys = new KeyReader(stanza);
  const wrongName = nameProblem(stanza.name);
  if (wrongName !== undefined) keys.problem(wrongName, { hint: isPermittedName(stanza.name) ? undefined : nameHint });
  const typeName = keys.take("type", parseTypeName, "plain");
  const type = findType(typeName);
  if (type === undefined) {
    // The keys that belong to it aren't known, so none can be called unknown.
    const { message, hint } = typeProblem(typeName);
    keys.problem(message, { key: "type", hint });
    return { kind: "spoilt", problems: keys.problems() };
  }
  const chroot = type.parse(takeCommon(stanza, keys), keys);
  const custom = keys.takeCustom();
  const problems = keys.problems();
  if (problems.length > 0) return { kind: "spoilt", problems };
  return { kind: "chroot", chroot: { ...chroot, custom, warnings: keys.warnings() } };
}

/** schroot 1.6 permits them. */
const obsolete = ["priority", "active", "run-setup-scripts", "run-session-scripts", "run-exec-scripts"] as const;

function takeCommon(stanza: Stanza, keys: KeyReader): Omit<ChrootBase, "type"> {
  for (const key of obsolete)
    if (keys.has(key)) keys.warning(`${key} has no effect, nor has it in schroot 1.6: remove the line`, { key });
  const setup = takeSetup(keys);
  return {
    name: stanza.name,
    file: stanza.file,
    line: stanza.line,
    aliases: keys.take("aliases", parseAliases, []).filter((alias) => alias !== stanza.name),
    description: keys.take("description", parseText, ""),
    translations: keys.translations("description"),
    users: keys.take("users", parseNames, []),
    groups: keys.take("groups", parseNames, []),
    rootUsers: keys.take("root-users", parseNames, []),
    rootGroups: keys.take("root-groups", parseNames, []),
    profile: takeProfile(keys, setup),
    setup,
    messageVerbosity: keys.take("message-verbosity", parseOneOf(["quiet", "normal", "verbose"]), "normal"),
    commandPrefix: keys.take("command-prefix", parseList, []),
    personality: keys.take("personality", parsePersonality, "undefined"),
    preserveEnvironment: keys.take("preserve-environment", parseBoolean, false),
    shell: keys.takeOptional("shell", unlessEmpty(parseText)),
    environmentFilter: keys.takeOptional("environment-filter", unlessEmpty(parseExpression)),
    userModifiableKeys: keys.take("user-modifiable-keys", parseNames, []),
    rootModifiableKeys: keys.take("root-modifiable-keys", parseNames, []),
    lowers: keys.take("fallthru.lower", parseAbsolutePaths, []),
    login: takeLogin(keys),
    custom: {},
    warnings: [],
  };
}

function takeSetup(keys: KeyReader): SetupFiles {
  return {
    fstab: keys.takeOptional("setup.fstab", parseConfigPath),
    copyfiles: keys.takeOptional("setup.copyfiles", parseConfigPath),
    nssdatabases: keys.takeOptional("setup.nssdatabases", parseConfigPath),
    config: keys.takeOptional("setup.config", parseConfigPath),
    scriptConfig: keys.takeOptional("script-config", parseConfigPath),
    services: keys.take("setup.services", parseList, []),
  };
}

/** `script-config=X/config` is how `profile=X` was written once; where both stand, schroot takes the old one. */
function takeProfile(keys: KeyReader, setup: SetupFiles): string {
  const profile = keys.take("profile", parseProfile, "default");
  if (setup.scriptConfig === undefined) return profile;
  keys.warning("script-config is the old form of profile, which is to be used in its place", { key: "script-config" });
  return setup.scriptConfig.split("/").slice(0, -1).join("/");
}

/** An empty one means the default; a comment behind it is dropped. */
const parseTypeName: ParseValue<string> = (text) => {
  if (hasComment(text)) throw new BadValue(`unknown type ${JSON.stringify(text)}`);
  return text === "" ? "plain" : text;
};

const parseProfile: ParseValue<string> = (text) => {
  if (text === "") throw new BadValue("the profile's name is empty");
  return parseConfigPath(text);
};

/** Those of personality(2) that schroot knows on Linux. */
const parsePersonality: ParseValue<string> = (text) => {
  const known =
    "undefined linux linux32 linux_32bit bsd hpux irix32 irix64 irixn32 iscr4 osf4 osr5 riscos scorvr3 solaris sunos " +
    "svr4 uw7 wysev386 xenix";
  return parseOneOf(known.split(" "))(text);
};
