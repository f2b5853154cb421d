import { command } from "../command.ts";
import { completionScript, shells } from "../completion/scripts.ts";

export const completion = command({
  name: "completion",
  summary: "print a shell's completion script",
  description: [
    "Words of Fallthru's own (verbs, options, chroots, sessions) are completed by asking fallthru at each press of the Tab key; files, users and the command behind -- are the shell's matter.",
  ],
  operands: { shell: { arity: "one", completes: shells, summary: "bash, zsh or fish" } },
  options: {},
  examples: [
    { line: "source <(fallthru completion bash)", does: "in ~/.bashrc" },
    { line: "source <(fallthru completion zsh)", does: "in ~/.zshrc, behind compinit" },
    { line: "fallthru completion fish | source", does: "in ~/.config/fish/config.fish" },
  ],
  exits: {},
  json: [
    { name: "shell", type: "string", summary: "`bash`, `zsh` or `fish`" },
    { name: "script", type: "string", summary: "the script" },
  ],
  run: ({ shell }) => ({ data: { shell, script: completionScript(shell) } }),
  text: ({ script }) => script,
});
