/**
 * An extended regular expression (regex(7)) as one of JavaScript's, which has no `[[:digit:]]` and takes a backslash in
 * brackets for the beginning of something.
 * @throws {SyntaxError}
 */
export function expressionOf(text: string): RegExp {
  // Most have no brackets.
  if (!text.includes("[")) return new RegExp(text);
  let source = "";
  for (let at = 0; at < text.length;) {
    const letter = text.charAt(at);
    const end = letter === "[" ? endOfBrackets(text, at) : at + (letter === "\\" ? 2 : 1);
    source += letter === "[" ? bracketsOf(text.slice(at + 1, end - 1)) : text.slice(at, end);
    at = end;
  }
  return new RegExp(source);
}

/** Behind the `]` that belongs to the `[` at `start`: the first letter may be one without ending it. */
function endOfBrackets(text: string, start: number): number {
  let at = start + (text.charAt(start + 1) === "^" ? 2 : 1);
  if (text.charAt(at) === "]") at += 1;
  for (; at < text.length; at++) {
    if (text.charAt(at) === "]") return at + 1;
    const kind = text.charAt(at) === "[" ? text.charAt(at + 1) : "";
    if (kind !== "" && ":.=".includes(kind)) {
      const end = text.indexOf(`${kind}]`, at + 2);
      if (end < 0) break;
      at = end + 1;
    }
  }
  throw new SyntaxError("a [ without its ]");
}

function bracketsOf(content: string): string {
  const isNegated = content.startsWith("^");
  const items = (isNegated ? content.slice(1) : content).replace(
    /\[:(.*?):\]|\[([.=])(.)\2\]|[\\[\]^]/g,
    (item: string, name: string | undefined, _kind, letter: string | undefined) => {
      if (name === undefined) return letter === undefined ? `\\${item}` : escaped(letter);
      const letters = Object.hasOwn(classes, name) ? classes[name] : undefined;
      if (letters === undefined) throw new SyntaxError(`no letters are called [:${name}:]`);
      return letters;
    },
  );
  return `[${isNegated ? "^" : ""}${items}]`;
}

function escaped(letter: string): string {
  return /[\\\]^-]/.test(letter) ? `\\${letter}` : letter;
}

const classes: Readonly<Record<string, string>> = {
  alnum: "a-zA-Z0-9",
  alpha: "a-zA-Z",
  blank: " \\t",
  cntrl: "\\x00-\\x1f\\x7f",
  digit: "0-9",
  graph: "\\x21-\\x7e",
  lower: "a-z",
  print: "\\x20-\\x7e",
  punct: "!-\\/:-@\\[-`{-~",
  space: "\\s",
  upper: "A-Z",
  xdigit: "0-9a-fA-F",
};
