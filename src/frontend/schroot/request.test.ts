import { expect, test } from "bun:test";
import type { UserError } from "../../error.ts";
import { readRequest } from "./request.ts";

const usage = "Run “schroot --help” to list usage example and all available options";

function refusalOf(...argv: string[]): string {
  try {
    readRequest(argv);
  } catch (error) {
    const { message, hint } = error as UserError;
    return hint === usage ? `${message} (usage)` : message;
  }
  return "none";
}

test("readRequest() takes options shortened, joined, with and without a space, and behind operands", () => {
  const { action, chroots, directory, command } = readRequest(["ls", "-lc", "a", "--chr=b", "-d/x", "-cc", "--", "-q"]);
  expect({ action, chroots, directory, command }).toEqual({
    action: "list",
    chroots: ["a", "b", "c"],
    directory: "/x",
    command: ["ls", "-q"],
  });
});

test("readRequest() takes the next word for a value, unless it is a short option", () => {
  expect(readRequest(["-c", "--list"]).chroots).toEqual(["--list"]);
  expect(readRequest(["-c", "-x"]).chroots).toEqual(["-x"]);
  expect(refusalOf("-c", "-l")).toBe("the required argument for option '--chroot' is missing");
});

test("readRequest() takes an empty value for none, and a command without a name for a shell", () => {
  const { directory, user, command } = readRequest(["-d", "", "-u", "", "--", "", "ls"]);
  expect({ directory, user, command }).toEqual({ directory: undefined, user: undefined, command: [] });
});

test.each([
  [["--nosuch"], "unrecognised option '--nosuch'"],
  [["--nosuch=1"], "unrecognised option '--nosuch=1'"],
  [["--="], "the argument for option should follow immediately after the equal sign"],
  [["---"], "unrecognised option '---'"],
  [["-lx"], "unrecognised option '-lx'"],
  [["-c"], "the required argument for option '--chroot' is missing"],
  [["--chroot="], "the argument for option '--chroot' should follow immediately after the equal sign"],
  [["--quiet=1"], "option '--quiet' does not take any arguments"],
  [["--all-s"], "option '--all-s' is ambiguous and matches '--all-sessions', and '--all-source-chroots'"],
  [["-l", "-l"], "option '--list' cannot be specified more than once"],
  [["-l", "-i"], "Only one action may be specified (usage)"],
  [["--debug=bogus", "-l"], "Invalid debug level (usage)"],
  [["-b"], "Exactly one chroot must be specified when beginning a session (usage)"],
  [["-b", "-c", "a", "-c", "b"], "Exactly one chroot must be specified when beginning a session (usage)"],
  [["-b", "-c", "a", "-n", "x/y"], "Invalid session name (usage)"],
  [["-n", "x"], "--session-name is not permitted for the specified action (usage)"],
  [
    ["-e", "-n", "x"],
    "--session-name is not permitted for the specified action; did you mean to use --chroot? (usage)",
  ],
])("readRequest(%p) is refused: %s", (argv, message) => {
  expect(refusalOf(...argv)).toBe(message);
});

test("readRequest() knows whom an action means where no chroot is named", () => {
  const chosen = (...argv: string[]) => {
    const { chroots, sets } = readRequest(argv);
    return [...chroots, ...sets].join(" ");
  };
  expect(chosen()).toBe("default");
  expect(chosen("-l")).toBe("chroots source-chroots");
  expect(chosen("-i")).toBe("chroots source-chroots");
  expect(chosen("--config")).toBe("chroots");
  expect(chosen("--location")).toBe("chroots");
  expect(chosen("-a", "-e")).toBe("chroots sessions source-chroots");
  expect(chosen("-r")).toBe("");
});
