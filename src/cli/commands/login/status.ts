import { command } from "../../command.ts";

export const status = command({
  name: "login status",
  summary: "show whose logins are sessions",
  operands: {},
  options: {},
  examples: [{ line: "fallthru login status", does: "chroots, people, groups, and what is wrong" }],
  exits: { 1: "something keeps people from logging in, or lets them past: it is named" },
  json: [
    { name: "logins", type: "object[]", summary: "the chroots that are somebody's login" },
    { name: "logins[].chroot", type: "string", summary: "the chroot's name" },
    { name: "logins[].file", type: "string", summary: "the file that describes it" },
    { name: "logins[].line", type: "number", summary: "the line of its `[name]` there" },
    { name: "logins[].users", type: "string[]", summary: "login.users" },
    { name: "logins[].groups", type: "string[]", summary: "login.groups" },
    { name: "logins[].onFailure", type: "string", summary: "login.on-failure" },
    { name: "shells", type: "object[]", summary: "the people whose shell is ours" },
    { name: "shells[].user", type: "string", summary: "their name" },
    { name: "shells[].before", type: "string", summary: "the shell that they had; empty where nobody knows" },
    { name: "forced", type: "object[]", summary: "those for whom sshd has our command" },
    { name: "forced[].kind", type: "string", summary: "`user` or `group`" },
    { name: "forced[].name", type: "string", summary: "the name" },
    { name: "forced[].file", type: "string", summary: "the file that says so" },
    { name: "pam", type: "string[]", summary: "the services of PAM that count logins" },
    { name: "displayManagers", type: "string[]", summary: "those that run desktops in sessions" },
    { name: "problems", type: "string[]", summary: "what is wrong" },
  ],
  run: async () => {
    const [{ loginStatus }, { socketPath }] = await Promise.all([
      import("../../../frontend/login/setup/status.ts"),
      import("../../../daemon/protocol.ts"),
    ]);
    const data = loginStatus(socketPath);
    return { data, status: data.problems.length > 0 ? 1 : 0 };
  },
  text: ({ logins, shells, forced, pam, displayManagers, problems }) =>
    [
      ...logins.map(({ chroot, users, groups }) => {
        const whom = [...users, ...groups.map((group) => `group ${group}`)];
        return `${chroot}: ${whom.join(", ")}\n`;
      }),
      ...shells.map(({ user, before }) => `${user}: by their shell${before === "" ? "" : `, which was ${before}`}\n`),
      ...forced.map(({ kind, name, file }) => `${kind} ${name}: by sshd, ${file}\n`),
      ...(pam.length === 0 ? [] : [`counted by PAM: ${pam.join(", ")}\n`]),
      ...displayManagers.map((manager) => `desktops: by ${manager}\n`),
      ...problems.map((problem) => `problem: ${problem}\n`),
    ].join(""),
});
