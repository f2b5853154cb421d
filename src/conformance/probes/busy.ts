import * as fs from "node:fs";
import { fails, same } from "../kit/assert.ts";
import { append, close, exists, open, O, put, stat, text, tree } from "../kit/files.ts";
import { asUser, ended, eventually, run, start } from "../kit/program.ts";
import { capabilities, setXattr } from "../kit/xattr.ts";
import { area } from "../probe.ts";

const why = "overlayfs.rst, Non-standard behavior c): a running program can be written to";

function prepareProgram(lower: string): void {
  fs.copyFileSync("/bin/sleep", `${lower}/program`);
  fs.chmodSync(`${lower}/program`, 0o755);
}

function runProgram(mount: string): ReturnType<typeof start> {
  return start([`${mount}/program`, "60"]);
}

async function running(child: ReturnType<typeof start>, path: string): Promise<void> {
  await eventually(() =>
    fs.readlinkSync(`/proc/${child.pid}/exe`) === path ? undefined : "the program doesn't start",
  );
}

export const busy = area("programs", [
  {
    name: "a running one from below can't be opened for writing",
    why,
    prepare: prepareProgram,
    run: async (mount) => {
      const child = runProgram(mount);
      await running(child, `${mount}/program`);
      fails("ETXTBSY", () => open(`${mount}/program`, O.WRONLY), "opening for writing");
      fails("ETXTBSY", () => open(`${mount}/program`, O.RDWR | O.TRUNC), "opening with O_TRUNC");
      fails("ETXTBSY", () => fs.truncateSync(`${mount}/program`, 0), "truncate");
      child.kill("SIGKILL");
      await ended(child);
      close(open(`${mount}/program`, O.WRONLY));
    },
  },
  {
    name: "a running one that was copied up can't be opened for writing",
    why: "open(2), ETXTBSY",
    prepare: prepareProgram,
    run: async (mount) => {
      append(`${mount}/program`, "x");
      const child = runProgram(mount);
      await running(child, `${mount}/program`);
      fs.chmodSync(`${mount}/program`, 0o700);
      fails("ETXTBSY", () => open(`${mount}/program`, O.WRONLY), "opening for writing");
    },
  },
  {
    name: "one that is open for writing can't be run",
    why: "execve(2), ETXTBSY",
    prepare: prepareProgram,
    run: (mount) => {
      const fd = open(`${mount}/program`, O.RDWR);
      const { error } = run(["sh", "-c", `'${mount}/program' 0`]);
      same(error.includes("Text file busy"), true, `it says: ${error.trim()}; Text file busy`);
      close(fd);
      same(run([`${mount}/program`, "0"]).status, 0, "status after close");
    },
  },
  {
    name: "a running one can be replaced, renamed and removed",
    why: "package managers do",
    prepare: prepareProgram,
    run: async (mount) => {
      const child = runProgram(mount);
      await running(child, `${mount}/program`);
      put(`${mount}/new`, "#!/bin/sh\n", 0o755);
      fs.renameSync(`${mount}/new`, `${mount}/program`);
      same(fs.readlinkSync(`/proc/${child.pid}/exe`), `${mount}/program (deleted)`, "its name in /proc");
      fs.unlinkSync(`${mount}/program`);
      same(child.exitCode, null, "it runs");
      same(text(`/proc/${child.pid}/exe`).startsWith("\u007fELF"), true, "its content in /proc");
    },
  },
  {
    name: "those from below run, by name, by descriptor and as scripts",
    why: "execve(2), fexecve(3)",
    prepare: (lower) => {
      prepareProgram(lower);
      put(`${lower}/script`, "#!/bin/sh\necho $0 $1\n", 0o755);
    },
    run: (mount) => {
      same(run([`${mount}/program`, "0"]).status, 0, "status");
      same(run([`${mount}/script`, "a"]).out, `${mount}/script a\n`, "a script's output");
      append(`${mount}/script`, "echo more\n");
      same(run([`${mount}/script`, "a"]).out, `${mount}/script a\nmore\n`, "its output after a line was added");
      append(`${mount}/program`, "x");
      same(run([`${mount}/program`, "0"]).status, 0, "status after copy-up");
    },
  },
  {
    name: "those without x, of a mount with noexec, and directories don't run",
    why: "execve(2), EACCES",
    prepare: (lower) => {
      prepareProgram(lower);
      put(`${lower}/plain`, "#!/bin/sh\n", 0o644);
      tree(lower, ["dir/"]);
    },
    run: (mount) => {
      for (const name of ["plain", "dir"]) same(run(["sh", "-c", `'${mount}/${name}'`]).status, 126, name);
      fs.chmodSync(`${mount}/program`, 0o644);
      same(run(["sh", "-c", `'${mount}/program' 0`]).status, 126, "after chmod");
    },
  },
  {
    name: "noexec forbids running",
    why: "mount(8)",
    options: ["noexec"],
    prepare: prepareProgram,
    run: (mount) => same(run(["sh", "-c", `'${mount}/program' 0`]).status, 126, "status"),
  },
  {
    name: "set-user-ID programs from below run as their owners",
    why: "execve(2)",
    needs: ["privilege"],
    prepare: (lower) => {
      fs.copyFileSync("/usr/bin/id", `${lower}/id`);
      fs.chownSync(`${lower}/id`, 1005, 1006);
      fs.chmodSync(`${lower}/id`, 0o6755);
    },
    run: (mount) => {
      const ids = (): string => run(asUser(1001, ["sh", "-c", `'${mount}/id' -u; '${mount}/id' -g`])).out;
      same(ids(), "1005\n1006\n", "ids");
      fs.utimesSync(`${mount}/id`, 1, 1);
      same(ids(), "1005\n1006\n", "ids after copy-up of the attributes");
      fs.renameSync(`${mount}/id`, `${mount}/id2`);
      fs.renameSync(`${mount}/id2`, `${mount}/id`);
      same(stat(`${mount}/id`).mode & 0o7777n, 0o6755n, "mode after rename");
    },
  },
  {
    name: "nosuid takes set-user-ID away",
    why: "mount(8)",
    needs: ["privilege"],
    options: ["nosuid"],
    prepare: (lower) => {
      fs.copyFileSync("/usr/bin/id", `${lower}/id`);
      fs.chownSync(`${lower}/id`, 1005, 1006);
      fs.chmodSync(`${lower}/id`, 0o6755);
    },
    run: (mount) => same(run(asUser(1001, [`${mount}/id`, "-u"])).out, "1001\n", "id"),
  },
  {
    name: "capabilities of files from below count, also after copy-up of the attributes",
    why: "capabilities(7)",
    needs: ["privilege"],
    prepare: (lower) => {
      fs.copyFileSync("/bin/cat", `${lower}/cat`);
      fs.chmodSync(`${lower}/cat`, 0o755);
      setXattr(`${lower}/cat`, "security.capability", capabilities(13)); // CAP_NET_RAW
    },
    run: (mount) => {
      const effective = (): string =>
        /CapEff:\s+(\w+)/.exec(run(asUser(1001, [`${mount}/cat`, "/proc/self/status"])).out)?.[1] ?? "none";
      same(effective(), "0000000000002000", "CapEff");
      fs.chmodSync(`${mount}/cat`, 0o711);
      same(effective(), "0000000000002000", "CapEff after chmod");
      append(`${mount}/cat`, "x");
      same(effective(), "0000000000000000", "CapEff after a write");
    },
  },
  {
    name: "a program's working directory follows a directory that is moved",
    why: "getcwd(2)",
    prepare: (lower) => tree(lower, ["dir/sub/", "other/"]),
    run: (mount) => {
      process.chdir(`${mount}/dir/sub`);
      fs.renameSync(`${mount}/dir`, `${mount}/other/dir`);
      same(fs.readlinkSync("/proc/self/cwd"), `${mount}/other/dir/sub`, "cwd");
      put("made");
      same(exists(`${mount}/other/dir/sub/made`), true, "a file made there is there");
    },
  },
  {
    name: "a working directory that is removed takes no new files",
    why: "POSIX rmdir()",
    prepare: (lower) => tree(lower, ["dir/"]),
    run: (mount) => {
      process.chdir(`${mount}/dir`);
      fs.rmdirSync(`${mount}/dir`);
      fails("ENOENT", () => put("made"), "making a file");
      fails("ENOENT", () => fs.mkdirSync("made"), "making a directory");
      same(stat(".").nlink, 0n, "links");
    },
  },
  {
    name: "a chroot into the mount runs programs",
    why: "what unions are for",
    needs: ["privilege"],
    prepare: (lower) => {
      tree(lower, ["bin/", "proc/"]);
      const libraries = run(["ldd", "/bin/sh"]).out.match(/\/\S+/g) ?? [];
      for (const path of ["/bin/sh", ...libraries]) {
        fs.mkdirSync(`${lower}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
        fs.copyFileSync(path, `${lower}${path}`);
        fs.chmodSync(`${lower}${path}`, 0o755);
      }
    },
    run: (mount) => {
      const { out, error } = run([
        "chroot",
        mount,
        "/bin/sh",
        "-c",
        "echo hello >/file; read x </file; echo $x; cd ..; pwd",
      ]);
      same([out, error], ["hello\n/\n", ""], "output");
      same(text(`${mount}/file`), "hello\n", "its file");
    },
  },
]);
