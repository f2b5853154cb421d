import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A source package that needs nothing to be built but what every build root has. */
export interface SourcePackage {
  readonly name: string;
  /** Lines of shell, run to build it. */
  readonly build: string;
  /** Its test for autopkgtest. */
  readonly test?: string;
}

/** Writes its tree below `parent`. @returns the path of the tree; its binary package is NAME_1_all.deb */
export function sourceTree(parent: string, { name, build, test = "true" }: SourcePackage): string {
  const tree = join(parent, `${name}-1`);
  mkdirSync(join(tree, "debian/source"), { recursive: true });
  mkdirSync(join(tree, "debian/tests"));
  const write = (path: string, lines: readonly string[]): void => {
    writeFileSync(join(tree, "debian", path), `${lines.join("\n")}\n`);
  };
  write("source/format", ["3.0 (native)"]);
  write("changelog", [`${name} (1) bookworm; urgency=low`, "", "  * First.", "", ` -- ${who}  ${date}`]);
  write("control", [
    `Source: ${name}`,
    "Section: misc",
    "Priority: optional",
    `Maintainer: ${who}`,
    "Standards-Version: 4.6.2",
    "Rules-Requires-Root: no",
    "",
    `Package: ${name}`,
    "Architecture: all",
    "Description: small package",
    " It is there to be built.",
  ]);
  write("copyright", ["Public domain."]);
  write("tests/control", ["Test-Command: sh debian/tests/smoke"]);
  write("tests/smoke", [test]);
  write("build", ["set -eu", build]);
  write("rules", rules);
  chmodSync(join(tree, "debian/rules"), 0o755);
  return tree;
}

/** @returns the path of its .dsc */
export function sourcePackage(parent: string, source: SourcePackage): string {
  const tree = sourceTree(parent, source);
  execFileSync("dpkg-source", ["--build", tree], { cwd: parent, stdio: "ignore" });
  return join(parent, `${source.name}_1.dsc`);
}

/** A binary package of one file, /usr/share/doc/NAME/copyright. @returns its path */
export function binaryPackage(parent: string, name: string): string {
  const tree = join(parent, name);
  mkdirSync(join(tree, "DEBIAN"), { recursive: true });
  mkdirSync(join(tree, "usr/share/doc", name), { recursive: true });
  writeFileSync(join(tree, "usr/share/doc", name, "copyright"), "Public domain.\n");
  const control = `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: ${who}\nDescription: small package\n`;
  writeFileSync(join(tree, "DEBIAN/control"), control);
  execFileSync("dpkg-deb", ["--root-owner-group", "--build", tree, parent], { stdio: "ignore" });
  return join(parent, `${name}_1_all.deb`);
}

const who = "Nobody <nobody@example.org>";
const date = "Sat, 01 Nov 2025 00:00:00 +0000";

const rules = [
  "#!/usr/bin/make -f",
  "build build-arch build-indep: build-stamp",
  "build-stamp:\n\tsh debian/build\n\ttouch build-stamp",
  "binary-arch:",
  "binary binary-indep: build",
  "\tmkdir -p debian/tmp/DEBIAN debian/tmp/usr/share/doc/$$(dpkg-parsechangelog -S Source)",
  "\tcp debian/copyright debian/tmp/usr/share/doc/*/",
  "\tdpkg-gencontrol",
  "\tdpkg-deb --root-owner-group --build debian/tmp ..",
  "clean:\n\trm -rf build-stamp debian/tmp debian/files",
];
