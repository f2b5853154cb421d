import { expect, test } from "bun:test";
import { linkSync, mkdirSync, writeFileSync } from "node:fs";
import { describeChroot } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";
import { describeTree } from "../support/tree.ts";

async function succeed(...args: string[]): Promise<string> {
  const { stdout, stderr, status } = await fallthru(args);
  expect([args.join(" "), stderr, status]).toEqual([args.join(" "), "", 0]);
  return stdout;
}

function inside(script: string): Promise<string> {
  return succeed("run", "@some", "--", "sh", "-ec", script);
}

async function begin(union: string): Promise<string> {
  const root = tinyRoot();
  mkdirSync(`${root}/opt/kept/deep`, { recursive: true });
  writeFileSync(`${root}/opt/kept/deep/file`, "kept\n");
  writeFileSync(`${root}/opt/two`, "two\n");
  describeChroot("some", root);
  await succeed("begin", "some", "--name", "some", "--union", union);
  return root;
}

const changes = `
  echo changed > /opt/two; chmod 700 /bin/busybox; rm /bin/awk; mkdir -p /srv/new/deep; echo > /srv/new/deep/file
  mv /opt/kept /opt/moved; echo more >> /opt/moved/deep/file; rm -r /var; echo > /var
  mv /bin/ls /bin/swap; mv /bin/cat /bin/ls; mv /bin/swap /bin/cat; ln -s x /opt/link; chown 5:6 /root`;

for (const union of ["overlay", "fallthru"]) {
  test(`discard takes back what was changed at a path, for whoever is in the session: ${union}`, async () => {
    await begin(union);
    await inside(changes);
    expect(await succeed("discard", "@some", "/opt/two", "/bin/awk", "--dry-run")).toBe(
      "D /bin/awk  link\nM /opt/two  content, time\n",
    );
    expect(await succeed("discard", "@some", "/opt/two", "/bin/awk")).toBe(
      "D /bin/awk  link\nM /opt/two  content, time\n",
    );
    expect(await inside("cat /opt/two; readlink /bin/awk")).toBe("two\nbusybox\n");
    const left = await succeed("diff", "@some", "--name-status");
    expect(left).not.toContain("/opt/two");
    expect(left).toContain("R\t/opt/kept\t/opt/moved\n");
    const nothing = await fallthru(["discard", "@some", "/opt/two"]);
    expect([nothing.status, nothing.stderr]).toEqual([3, expect.stringContaining("nothing was changed at /opt/two")]);
    await succeed("end", "some");
  });

  test(`discard of everything leaves the session as it began: ${union}`, async () => {
    await begin(union);
    const mount = "/run/fallthru/mount/some/some";
    const parts = ["bin", "opt", "var", "srv", "root"].map((name) => `${mount}/${name}`);
    const describe = (): string[] =>
      parts.flatMap((path) => {
        try {
          return describeTree(path);
        } catch {
          return [`${path} is no directory`];
        }
      });
    const before = describe();
    await inside(changes);
    expect(describe()).not.toEqual(before);
    await succeed("discard", "@some", "/");
    expect(await succeed("diff", "@some")).toStartWith("nothing changed");
    expect(describe()).toEqual(before);
    await succeed("end", "some");
  });
}

for (const union of ["overlay", "fallthru"]) {
  test(`discard brings back what was in a deleted directory, with that: ${union}`, async () => {
    const root = await begin(union);
    await succeed("end", "some");
    writeFileSync(`${root}/opt/kept/other`, "other\n");
    mkdirSync(`${root}/srv/kept/in`, { recursive: true });
    writeFileSync(`${root}/srv/file`, "file\n");
    await succeed("begin", "some", "--name", "some", "--union", union);
    await inside("rm -r /opt/kept; mv /srv/kept/in /in; rm -r /srv/kept");
    expect(await succeed("discard", "@some", "/opt/kept/deep/file", "/in")).toBe(
      "R /srv/kept/in -> /in\nD /opt/kept  directory\nD /opt/kept/deep  directory\nD /opt/kept/deep/file\nD /srv/kept  directory\n",
    );
    expect(await inside("cd /opt/kept; cat deep/file; ls . /srv/kept; test ! -e /in")).toBe(
      "kept\n.:\ndeep\n\n/srv/kept:\nin\n",
    );
    expect(await succeed("diff", "@some", "--name-status")).toBe("D\t/opt/kept/other\n");
    await inside("rm -r /opt/kept; ln -s two /opt/kept");
    const refused = await fallthru(["discard", "@some", "/opt/kept/other"]);
    expect([refused.status, refused.stderr]).toEqual([5, expect.stringContaining("/opt/kept, in which something")]);
    await succeed("discard", "@some", "/opt/kept");
    expect(await succeed("diff", "@some")).toStartWith("nothing changed");
    await succeed("end", "some");
  });
}

test("discard says what is in the way of a name that comes back", async () => {
  await begin("overlay");
  await inside(
    "mv /opt/two /opt/other; echo new > /opt/two.new; mv /opt/two.new /opt/two; mv /opt/kept /opt/moved; echo > /opt/kept",
  );
  const refused = await fallthru(["discard", "@some", "/opt/moved"]);
  expect([refused.status, refused.stderr]).toEqual([
    5,
    expect.stringContaining("/opt/kept, from where something was renamed"),
  ]);
  await succeed("discard", "@some", "/opt/moved", "/opt/kept");
  expect(await inside("cat /opt/kept/deep/file")).toBe("kept\n");
  await succeed("end", "some");
});

for (const union of ["overlay", "fallthru"]) {
  test(`discard brings back hard links as such: ${union}`, async () => {
    const root = await begin(union);
    await succeed("end", "some");
    linkSync(`${root}/opt/two`, `${root}/opt/kept/again`);
    mkdirSync(`${root}/srv`);
    linkSync(`${root}/opt/two`, `${root}/srv/third`);
    await succeed("begin", "some", "--name", "some", "--union", union);
    const names = "/opt/two /opt/kept/again /srv/third";
    const one = `stat -c %i ${names} | sort -u | wc -l; cat /opt/two; stat -c %h ${names} | sort -u`;
    await inside("rm /opt/kept/again");
    await succeed("discard", "@some", "/opt/kept/again");
    expect(await inside(one)).toBe("1\ntwo\n3\n");
    await inside("echo changed > /opt/two; rm /srv/third; echo > /srv/third");
    await succeed("discard", "@some", "/");
    expect(await inside(one)).toBe("1\ntwo\n3\n");
    expect(await succeed("diff", "@some")).toStartWith("nothing changed");
    await succeed("end", "some");
  });

  test(`discard takes renames back that went round, and such within others: ${union}`, async () => {
    const root = await begin(union);
    await succeed("end", "some");
    for (const name of ["a", "b", "c"]) mkdirSync(`${root}/srv/${name}/in`, { recursive: true });
    for (const name of ["a", "b", "c"]) writeFileSync(`${root}/srv/${name}/in/${name}`, name);
    await succeed("begin", "some", "--name", "some", "--union", union);
    const mount = "/run/fallthru/mount/some/some/srv";
    const before = describeTree(mount);
    await inside("cd /srv; mv a t; mv b a; mv c b; mv t c; mv c/in/a c/in/x; echo more >> c/in/x");
    expect(await succeed("diff", "@some", "--name-status", "--", "/srv")).toContain("R\t/srv/a\t/srv/c\n");
    await succeed("discard", "@some", "/srv");
    expect(describeTree(mount)).toEqual(before);
    await inside("cd /srv; mv a/in b/inner; mv a b/in/a; mv c a; mv b a/b; mkdir b; mv a/b/in/b b/file");
    await succeed("discard", "@some", "/srv");
    expect(describeTree(mount)).toEqual(before);
    // What was inside is outside.
    await inside("cd /srv; mv a/in t; mv a t/y; mv t a");
    await succeed("discard", "@some", "/srv");
    expect(describeTree(mount)).toEqual(before);
    await succeed("end", "some");
  });
}
