import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { tinyRoot } from "../../test/support/roots.ts";

test("become() is the program: its process, without what ours had", () => {
  const dir = temporaryDirectory("become");
  const script = `
    import { become } from "${resolve("src/kernel/process.ts")}"; import { openDirectory } from "${resolve("src/kernel/file.ts")}";
    process.on("SIGTERM", () => {}); process.title = "something else"; console.error(process.pid);
    become({ root: openDirectory(${JSON.stringify(tinyRoot())}), credentials: { uid: 5, gid: 6, groups: [7] }, directories: ["/tmp"], network: "none", hostname: "became" },
      { file: "sh", argv: ["sh", "-c", 'echo $$ >&2; echo $0 $1 $A; id -u; id -G; pwd; hostname', "zero", process.argv[2]], env: { PATH: "/none:/bin", A: "b" } });`;
  writeFileSync(join(dir, "become.ts"), script);
  const result = execFileSync("bash", ["-c", '"$0" become.ts "a b" 2>err; cat err', process.execPath], {
    cwd: dir,
    encoding: "utf8",
  });
  const lines = result.split("\n");
  expect(lines.slice(0, 5)).toEqual(["zero a b b", "5", "6 7", "/tmp", "became"]);
  expect(lines[5]).toBe(lines[6] ?? "");
});
