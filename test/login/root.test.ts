// deadline: 240
// `login.sudo=yes`: root inside installs and breaks what is the session's, and reaches neither devices, nor processes, nor the
// kernel of the machine. `full`: all that root may.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { run, type RunResult } from "../support/fallthru.ts";
import {
  closeTerminals,
  describeLogin,
  firstProcesses,
  loginOn,
  makeMachine,
  ownProcesses,
  program,
  startService,
  unmakeMachine,
  untilNothingIsLeft,
  workers,
} from "../support/logins.ts";
import { tinyRoot } from "../support/roots.ts";
import { childrenOf } from "../support/service.ts";

const shared = temporaryDirectory("shared");

beforeAll(async () => {
  makeMachine();
  chmodSync(shared, 0o755);
  const common = ["login.shell=/bin/bash", "setup.nssdatabases=", `login.share=${shared}`];
  describeLogin("bound", "/", ["login.users=alice", "login.sudo=yes", ...common]);
  describeLogin("free", "/", ["login.users=bob", "login.sudo=full", ...common]);
  describeLogin("tiny", tinyRoot(), ["login.users=carol", "login.sudo=yes", "setup.nssdatabases="]);
  await startService();
});

afterEach(async () => {
  closeTerminals();
  await untilNothingIsLeft();
  expect([...firstProcesses(), ...ownProcesses("bounded")]).toEqual([]);
});

afterAll(unmakeMachine);

/** As root inside, by sudo(8). */
function sudo(name: string, script: string): Promise<RunResult> {
  return run(["su", "-l", name, "-c", "sudo -n bash"], { directory: "/", input: script, timeoutMs: 60_000 });
}

test("root inside has the files, users and processes of the session", async () => {
  const script = `id -u; touch /usr/bin/mine; ls /usr/bin/mine; useradd -m zoe && ls -d /home/zoe; su zoe -c "id -un"
    chown zoe /etc/hosts && stat -c %U /etc/hosts; sleep 100 & disown; kill -9 $! && echo killed
    setcap cap_net_raw+ep /usr/bin/mine && echo capable; mkfifo /tmp/fifo && echo fifo; chroot / true && echo chroot
    for i in 1 2 3; do (sleep 0.1 &); done; sleep 1; grep -l "^State:.Z" /proc/[0-9]*/status || echo buried
    script -qc tty /dev/null; echo x >/dev/null; head -c 3 /dev/zero | wc -c; readlink /dev/stdin`;
  const { status, stdout, stderr } = await sudo("alice", script);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const lines = "0 /usr/bin/mine /home/zoe zoe zoe killed capable fifo chroot buried /dev/pts/0 3 /proc/self/fd/0";
  expect(stdout.replaceAll("\r", "").trim().split("\n")).toEqual(lines.split(" "));
  expect(existsSync("/usr/bin/mine")).toBe(false);
});

test("packages are installed: what their scripts do, a service, a set-user-ID file, a device that nobody needs", async () => {
  const directory = join(shared, "package");
  mkdirSync(join(directory, "DEBIAN"), { recursive: true });
  mkdirSync(join(directory, "lib/systemd/system"), { recursive: true });
  mkdirSync(join(directory, "usr/bin"), { recursive: true });
  const fields = ["Package: fallthru-test", "Version: 1", "Architecture: all", "Maintainer: A <a@example.org>"];
  writeFileSync(join(directory, "DEBIAN/control"), `${fields.join("\n")}\nDescription: a test\n`);
  const script = `#!/bin/sh -e
    adduser --system --group --no-create-home fallthru-test >/dev/null
    install -d -o fallthru-test /var/lib/fallthru-test
    [ -e /dev/fallthru-test ] || mknod /dev/fallthru-test c 1 3 || true
    dpkg-statoverride --add root root 4755 /usr/bin/fallthru-test >/dev/null; chmod 4755 /usr/bin/fallthru-test
    invoke-rc.d --quiet ssh restart || true; systemctl daemon-reload || true\n`;
  writeFileSync(join(directory, "DEBIAN/postinst"), script, { mode: 0o755 });
  writeFileSync(join(directory, "usr/bin/fallthru-test"), "#!/bin/sh\necho runs\n", { mode: 0o755 });
  execFileSync("dpkg-deb", ["--build", "--root-owner-group", directory, join(shared, "test.deb")], { stdio: "ignore" });
  const { stdout } = await sudo(
    "alice",
    `apt-get -qq -o Dpkg::Use-Pty=0 install ${shared}/test.deb >/tmp/log 2>&1 || cat /tmp/log
    fallthru-test; stat -c "%U %a" /usr/bin/fallthru-test /var/lib/fallthru-test; dpkg-query -W fallthru-test; ls /dev/fallthru-test`,
  );
  expect(stdout).toBe("runs\nroot 4755\nfallthru-test 755\nfallthru-test\t1\n");
});

test("root inside reaches neither the machine's devices, mounts, kernel, processes nor its root", async () => {
  const refused = [
    "mknod /tmp/disk b 254 0",
    "mknod /dev/mem c 1 1",
    "mount -t tmpfs tmpfs /mnt",
    "mount -o remount,rw /sys",
    "umount /proc/sys",
    "cat /proc/1/environ",
    "ls /proc/1/root/",
    "ls /proc/1/cwd/",
    "readlink /proc/1/fd/0",
    "kill -9 1; exit $(ps -p 1 | wc -l)",
    "nsenter -t 1 -m true",
    "date -s 2001-01-01",
    "ip link set lo mtu 1400",
    "hostname other",
    "echo 5 >/proc/sys/kernel/panic",
    "chmod 600 /proc/sys",
    "systemctl daemon-reload",
    "chattr +i /etc/hosts",
    // open_by_handle_at(2), by which one leaves what is shown of a file system: its root has the number 2.
    `perl -e 'open(my $d, "<", "${shared}"); exit 1 if syscall(304, fileno($d), pack("IiQ", 8, 1, 2), 0) < 0'`,
  ];
  // On the machine, /dev is full of disks, and processes are many.
  const script = `
    ${refused.map((line) => `(${line}) >/dev/null 2>&1 && echo "allowed: ${line.replaceAll(/["$]/g, "")}"`).join("\n    ")}
    ls /sys/kernel >/dev/null && ls -A /dev | tr "\\n" " "; echo; find /dev -type b
    echo only $(ls -d /proc/[0-9]* | wc -l) $(cat /proc/1/comm)
    touch /inside; mkdir /tmp/c; perl -e 'chroot "/tmp/c"; chdir ".." for 1 .. 40; chroot "."; print -e "/inside" ? "in\\n" : "out\\n"'
    for f in /sys/kernel/* /proc/sys/kernel/*; do [ -w $f ] && [ -f $f ] && : >>$f && echo "writable: $f"; done 2>/dev/null; true`;
  const { stdout } = await sudo("alice", script);
  const [devices, processes, escaped, ...more] = stdout.split("\n");
  expect(devices?.split(" ").filter((name) => !["dri", "snd", "log", "mqueue", "hugepages"].includes(name))).toEqual([
    ..."fd full null ptmx pts random shm stderr stdin stdout tty urandom zero".split(" "),
    "",
  ]);
  expect(Number(processes?.split(" ")[1])).toBeLessThan(10);
  expect([escaped, more]).toEqual(["in", [""]]);
});

test("full: devices, mounts and processes are the machine's", async () => {
  const script = "mknod /tmp/null c 1 3 && echo made; mount -t tmpfs tmpfs /mnt && echo mounted; ls -d /proc/$0";
  const { stdout } = await sudo("bob", script.replace("$0", String(process.pid)));
  expect(stdout).toBe(`made\nmounted\n/proc/${process.pid}\n`);
});

test("on a terminal: its name, job control, root's own terminals, and a second login with the same files", async () => {
  const terminal = await loginOn(["su", "-l", "alice"]);
  // sudo, which has a terminal of its own for the command, drops what was typed before it ended.
  terminal.type("tty; sudo -n sh -c 'tty; echo one >/dev/tty'; echo tw''o\n");
  expect(await terminal.until(/one\r\ntwo\r\n/)).toMatch(/\/dev\/console\r\n\/dev\/pts\/0\r\n/);
  terminal.type("sh -c 'echo ru''ns; exec sleep 100'\n");
  await terminal.until("runs\r\n");
  terminal.type("\x1a");
  await terminal.until("Stopped");
  terminal.type("bg; kill %1; wait; stty size; ls /dev/pts; echo >/tmp/here; echo do''ne\n");
  expect(await terminal.until("done\r\n")).toMatch(/\r\n24 80\r\nptmx\r\n/);
  const second = await loginOn(["su", "-l", "alice"]);
  second.type("ls /tmp/here; exit 4\n");
  await second.until("/tmp/here\r\n");
  expect(await second.ended).toMatchObject({ status: 4 });
  terminal.type("echo st''ill; exit 5\n");
  await terminal.until("still\r\n");
  expect(await terminal.ended).toMatchObject({ status: 5 });
});

test("a chroot of any kind; statuses, signals, and a shell that isn't there", async () => {
  const su = (command: string): Promise<RunResult> => run(["su", "-l", "carol", "-c", command], { directory: "/" });
  expect(await su("ls /dev/null; id -un; echo said >&2; exit 9")).toMatchObject({
    status: 9,
    stdout: "/dev/null\ncarol\n",
    stderr: "said\n",
  });
  expect(await su("kill -9 $$")).toMatchObject({ status: 137, stderr: "" });
  const words = ["setpriv", "--reuid=7003", "--regid=7003", "--clear-groups", "--", program, "login", "--", "nowhere"];
  const refused = await run(words, { directory: "/" });
  expect(refused).toMatchObject({ status: 1, stdout: "" });
  expect(refused.stderr).toMatch(/^fallthru: you can't log in here: run nowhere: no such file or directory \(ENOENT\)/);
});

test("a killed worker, and a killed first process, end the login and leave nothing", async () => {
  const terminal = await loginOn(["su", "-l", "alice"]);
  terminal.type("trap '' HUP TERM; sleep 1000 & echo do''ne\n");
  await terminal.until("done\r\n");
  expect(firstProcesses().length).toBe(1);
  for (const pid of firstProcesses()) process.kill(pid, "SIGKILL");
  await terminal.ended;
  await untilNothingIsLeft();
  const second = await loginOn(["su", "-l", "alice"]);
  const serving = workers().filter((pid) => childrenOf(pid).length > 0);
  expect(serving.length).toBe(1);
  for (const pid of serving) process.kill(pid, "SIGKILL");
  await second.ended;
});
