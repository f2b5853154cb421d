/** What `schroot --help` says of each option; programs read it to learn which there are. */
const sections: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  [
    "Actions",
    [
      ["-h [ --help ]", "Show help options"],
      ["-V [ --version ]", "Print version information"],
      ["-l [ --list ]", "List available chroots"],
      ["-i [ --info ]", "Show information about selected chroots"],
      ["--config", "Dump configuration of selected chroots"],
      ["--location", "Print location of selected chroots"],
    ],
  ],
  [
    "General options",
    [
      ["-q [ --quiet ]", "Show less output"],
      ["-v [ --verbose ]", "Show more output"],
    ],
  ],
  [
    "Chroot selection",
    [
      ["-c [ --chroot ] arg", "Use specified chroot"],
      ["-a [ --all ]", "Select all chroots and active sessions"],
      ["--all-chroots", "Select all chroots"],
      ["--all-sessions", "Select all active sessions"],
      ["--all-source-chroots", "Select all source chroots"],
      ["--exclude-aliases", "Do not include aliases"],
    ],
  ],
  [
    "Chroot environment",
    [
      ["-d [ --directory ] arg", "Directory to use"],
      ["-s [ --shell ] arg", "Shell to use as login shell"],
      ["-u [ --user ] arg", "Username (default current user)"],
      ["-p [ --preserve-environment ]", "Preserve user environment"],
      ["-o [ --option ] arg", "Set option"],
    ],
  ],
  [
    "Session actions",
    [
      ["--automatic-session", "Begin, run and end a session automatically \n(default)"],
      ["-b [ --begin-session ]", "Begin a session; returns a session ID"],
      ["--recover-session", "Recover an existing session"],
      ["-r [ --run-session ]", "Run an existing session"],
      ["-e [ --end-session ]", "End an existing session"],
    ],
  ],
  [
    "Session options",
    [
      ["-n [ --session-name ] arg", "Session name (defaults to an automatically \ngenerated name)"],
      ["-f [ --force ]", "Force operation, even if it fails"],
    ],
  ],
];

export function helpText(): string {
  const column = 34;
  const line = ([option, text]: readonly [string, string]) =>
    `  ${option}`.padEnd(column) + text.replaceAll("\n", `\n${" ".repeat(column)}`);
  const parts = sections.map(([title, options]) => `${title}:\n${options.map(line).join("\n")}\n`);
  return `Usage:\n  schroot  [OPTION…] [COMMAND] — run command or shell in a chroot\n\n${parts.join("\n")}`;
}

/** The first line is schroot's own: scripts take the version apart to learn what it can do. */
export function versionText(): string {
  return `schroot (Debian sbuild) 1.6.13 (13 Aug 2022)
Fallthru in schroot's place, with the options, the messages and the files of that version
`;
}
