import type { Chroot } from "./types.ts";

/** The variables by which somebody says which language messages are to be in, the first that is there wins. */
const variables = ["LC_ALL", "LC_MESSAGES", "LANG"] as const;

/**
 * A chroot's description in the language of whoever has this environment: schroot.conf(5), "Localisation".
 * @see locale(7)
 */
export function localDescription(
  { description, translations }: Pick<Chroot, "description" | "translations">,
  environment: Readonly<Record<string, string | Uint8Array | undefined>>,
): string {
  const locale = variables.map((name) => environment[name]?.toString() ?? "").find((value) => value !== "") ?? "";
  const found = candidates(locale).find((name) => Object.hasOwn(translations, name));
  return (found === undefined ? undefined : translations[found]) ?? description;
}

/** Of `de_AT.UTF-8@euro`, the exact name first, then without its parts. */
function candidates(locale: string): string[] {
  const [, language = "", country = "", modifier = ""] = /^([a-z]+)(_[A-Z]+)?(?:\.[^@]*)?(@.*)?$/.exec(locale) ?? [];
  return [locale, `${language}${country}${modifier}`, `${language}${country}`, `${language}${modifier}`, language];
}
