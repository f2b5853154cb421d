import { expect, test } from "bun:test";
import { withLogin } from "./policyfile.ts";

const text = "# top\n[lab]\ntype=directory\ndirectory=/\n\n# between\n[other]\ntype=directory\ndirectory=/srv\n";
const alice = { kind: "user", name: "alice" } as const;

test("withLogin() adds one line behind the section's last, and takes it away again", () => {
  const added = withLogin(text, "lab", alice, "add");
  expect(added).toBe(text.replace("directory=/\n", "directory=/\nlogin.users=alice\n"));
  expect(withLogin(added, "lab", alice, "add")).toBe(added);
  expect(withLogin(added, "lab", alice, "remove")).toBe(text);
  const last = withLogin(text, "other", alice, "add");
  expect(last).toBe(`${text}login.users=alice\n`);
  expect(withLogin(last, "other", alice, "remove")).toBe(text);
});

test("withLogin() leaves others' names in the line, and a file without a last line end whole", () => {
  const both = text.replace("directory=/\n", "directory=/\nlogin.users = bob , alice\n");
  expect(withLogin(both, "lab", alice, "remove")).toContain("\nlogin.users=bob\n");
  expect(withLogin(text.trimEnd(), "other", { kind: "group", name: "g" }, "add")).toBe(`${text}login.groups=g\n`);
  expect(withLogin(text, "nowhere", alice, "add")).toBe(text);
});
