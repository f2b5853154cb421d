import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { getPriority } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { spawn } from "node:child_process";
import { temporaryDirectory } from "../support/directories.ts";
import { as, games, nobody, Service } from "../support/service.ts";

test("a command runs as the caller: ids and groups by the kernel, directory, umask, variables, descriptors, status", async () => {
  await using service = await new Service().start();
  const script = 'id -u; id -g; id -G; pwd; umask; echo "$A_VARIABLE"; cat; echo error >&2; exit 7';
  const asked = await service.ask(as(nobody, [50, 60]), ["run", "sh", "-c", script], {
    input: "input\n",
    directory: "/usr",
    env: { A_VARIABLE: "of mine" },
  });
  expect(asked).toMatchObject({ status: 7, stderr: "error\n" });
  expect(asked.stdout).toBe("65534\n65534\n65534 50 60\n/usr\n0022\nof mine\ninput\n");
});

test("a command is as nice as its client, and has its soft limit of open files", async () => {
  await using service = await new Service().start();
  const niceness = Math.min(getPriority() + 7, 19);
  const words = service.client(["run", "sh", "-c", `until test $(nice) = ${niceness}; do :; done; ulimit -S -n`]);
  const line = words.map((word) => `'${word}'`).join(" ");
  const limited = `ulimit -S -n 200; exec nice -n 7 sh -c '"$@"; true' sh ${line}`;
  expect((await service.ask([...as(nobody), "sh", "-c", `${limited} #`], [])).stdout).toBe("200\n");
});

test("nothing that a client says makes it somebody else", async () => {
  await using service = await new Service().start();
  const env = { USER: "root", LOGNAME: "root", HOME: "/root", UID: "0", SUDO_UID: "0", SCHROOT_UID: "0" };
  const { stdout } = await service.ask(as(games), ["who"], { env });
  const who = JSON.parse(stdout) as Record<string, unknown>;
  expect(who).toMatchObject({ uid: 5, gid: 60, groups: [], name: "games", groupName: "games", home: "/usr/games" });
});

test("who has no account is turned away", async () => {
  await using service = await new Service().start();
  const stranger = ["setpriv", "--reuid=43210", "--regid=43210", "--clear-groups", "--"];
  const asked = await service.ask(stranger, ["who"]);
  expect(asked).toMatchObject({ status: 1, stdout: "", stderr: "E: User ‘43210’ not found\n" });
});

test("what is said before a command stands before its output, and what is said after it behind", async () => {
  await using service = await new Service().start();
  const words = [
    "say",
    "one",
    "run",
    "echo",
    "two",
    ";",
    "say",
    "three",
    "run",
    "echo",
    "four",
    ";",
    "complain",
    "five",
  ];
  const { stdout, stderr, status } = await service.ask(as(nobody), [...words, "status", "3"]);
  expect({ stdout, stderr, status }).toEqual({ stdout: "one\ntwo\nthree\nfour\n", stderr: "E: five\n", status: 3 });
});

test("a mistake of the front end's costs only its client, and a bug only its process", async () => {
  await using service = await new Service().start();
  expect(await service.ask([], ["fail"])).toMatchObject({ status: 1, stderr: "E: as it was asked to\n" });
  const broken = await service.ask([], ["break"]);
  expect(broken).toMatchObject({ status: 1, stderr: "E: the service met a bug of its own: as it was asked to\n" });
  expect(await service.ask([], ["say", "well"])).toMatchObject({ status: 0, stdout: "well\n" });
});

test("a command has the client's descriptors 0 to 2, and no other of the client's or of the service's", async () => {
  await using service = await new Service().start();
  const directory = temporaryDirectory();
  const file = join(directory, "open");
  writeFileSync(file, "");
  const list = service.client(["run", "ls", "-l", "/proc/self/fd"]);
  const words = list.map((word) => `'${word}'`).join(" ");
  const { stdout } = await service.ask(["sh", "-c", `exec 7<'${file}'; ${words} 0<&- 2>/dev/full #`], []);
  const open = [...stdout.matchAll(/(\d+) -> (\S+)/g)].map(([, number, what]) => `${number} ${what}`);
  expect(open.filter((each) => !each.startsWith("1 "))).toEqual([
    "0 /dev/null",
    "2 /dev/full",
    expect.stringMatching(/^3 \/proc\/\d+\/fd$/), // ls's own
  ]);
});

test("variables of the service reach no command, and those of a client neither service nor workers", async () => {
  await using service = await new Service({ OF_THE_SERVICE: "1" }).start();
  const hostile = { LD_PRELOAD: "", BUN_OPTIONS: "", NODE_OPTIONS: "", OF_THE_CLIENT: "1" };
  const { stdout } = await service.ask(as(nobody), ["run", "env"], { env: hostile });
  expect(stdout).toContain("OF_THE_CLIENT=1");
  expect(stdout).not.toContain("OF_THE_SERVICE");
  for (const pid of service.workers()) {
    const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").filter(Boolean);
    expect(environment.map((each) => each.split("=")[0])).toEqual(["PATH"]);
  }
  expect(readFileSync(`/proc/${service.processId}/environ`, "utf8")).not.toContain("OF_THE_CLIENT");
});

test("signals to the client are the command's, and its end is the client's", async () => {
  await using service = await new Service().start();
  const script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.01; done";
  const client = spawn("setpriv", [...as(nobody).slice(1), ...service.client(["run", "sh", "-c", script])]);
  let shown = "";
  client.stdout.on("data", (data: Buffer) => (shown += data.toString()));
  while (!shown.includes("ready")) await sleep(10);
  const ended = new Promise((done) => client.on("close", done));
  client.kill("SIGTERM");
  expect(await ended).toBe(9);
  expect(shown).toBe("ready\ngot it\n");
});

test("a signal that comes before the command keeps it from being started", async () => {
  await using service = await new Service().start();
  const words = service.client(["say", "ready", "wait", "run", "echo", "never"]);
  const client = spawn("setpriv", [...as(nobody).slice(1), ...words]);
  let shown = "";
  client.stdout.on("data", (data: Buffer) => (shown += data.toString()));
  while (!shown.includes("ready")) await sleep(10);
  const ended = new Promise((done) => client.on("close", done));
  client.kill("SIGINT");
  expect(await ended).toBe(130);
  expect(shown).toBe("ready\n");
});

test("another user can't signal, trace or read the processes of the service and its workers", async () => {
  await using service = await new Service().start();
  for (const pid of [service.processId, ...service.workers()]) {
    const probe = `kill -KILL ${pid}; cat /proc/${pid}/environ; ls /proc/${pid}/fd; readlink /proc/${pid}/cwd`;
    const { stdout, status } = await service.ask(as(nobody), ["run", "sh", "-c", probe]);
    expect({ stdout, status: status !== 0 }).toEqual({ stdout: "", status: true });
  }
  expect(await service.ask([], ["say", "well"])).toMatchObject({ stdout: "well\n" });
});

test("each user has processes of their own, and the next client of the same user finds one that is warm", async () => {
  await using service = await new Service().start();
  const parent = async (user: typeof nobody | typeof games) =>
    (await service.ask(as(user), ["run", "sh", "-c", "echo $PPID"])).stdout;
  const first = await parent(nobody);
  expect(await parent(nobody)).toBe(first);
  expect(await parent(games)).not.toBe(first);
});

test("many commands run at once", async () => {
  await using service = await new Service().start();
  const directory = temporaryDirectory();
  const meet = `touch '${directory}'/$0; until test $(ls '${directory}' | wc -l) -ge 6; do sleep 0.02; done`;
  const asked = await Promise.all(
    Array.from({ length: 6 }, (_, index) => service.ask([], ["run", "sh", "-c", meet, String(index)])),
  );
  expect(asked.map(({ status }) => status)).toEqual([0, 0, 0, 0, 0, 0]);
});

test("clients that say nothing cost sockets only, and nobody else their turn", async () => {
  await using service = await new Service().start();
  const before = service.workers().length;
  const silent = Array.from({ length: 100 }, () => connect(service.path).on("error", () => {}));
  await Promise.all(silent.map((socket) => new Promise((done) => socket.on("connect", done))));
  expect(await service.ask(as(nobody), ["say", "well"])).toMatchObject({ stdout: "well\n" });
  expect(service.workers().length).toBeLessThanOrEqual(before + 1);
  for (const socket of silent) socket.destroy();
});

test("a service that is killed loses no command, and the next takes its place", async () => {
  await using service = await new Service().start();
  const go = join(temporaryDirectory(), "go");
  const running = service.ask([], ["run", "sh", "-c", `until test -e '${go}'; do sleep 0.01; done; echo done; exit 4`]);
  while (service.workers().every((pid) => readdirSync(`/proc/${pid}/task/${pid}`).length === 0 || children(pid) === 0))
    await sleep(10);
  await service.kill();
  const later = await service.ask([], ["status", "0"]);
  expect(later.status).toBe(1);
  expect(later.stderr).toStartWith("E: The service isn't running");
  await service.start();
  expect(await service.ask([], ["say", "well"])).toMatchObject({ stdout: "well\n" });
  writeFileSync(go, "");
  expect(await running).toMatchObject({ status: 4, stdout: "done\n" });
});

test("a second service is refused while the first listens", async () => {
  await using service = await new Service().start();
  const second = spawn(process.execPath, [service.client([])[1] ?? "", "server", service.path], { stdio: "ignore" });
  expect(await new Promise((done) => second.on("exit", done))).toBe(1);
  expect(existsSync(service.path)).toBe(true);
  expect(await service.ask([], ["say", "well"])).toMatchObject({ stdout: "well\n" });
});

function children(pid: number): number {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).length;
}
