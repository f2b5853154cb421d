import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "./measure.ts";

/** The layers to mount, from the top; the upper is empty each time. */
export interface Layers {
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
}

/** A union mount that is measured. */
export interface UnionKind {
  readonly name: string;
  /** It doesn't copy files of a lower up when they are changed: only what reads or makes new ones can be measured. */
  readonly isCopyOnWrite: boolean;
  mount(layers: Layers, target: string): void;
}

/** Each with what its own manual recommends for one who has the layers to himself. */
export function unionKinds(fallthru: string): UnionKind[] {
  const options = ({ lowers, upper, work }: Layers): string =>
    `lowerdir=${lowers.join(":")},upperdir=${upper},workdir=${work}`;
  const branches = ({ lowers, upper }: Layers): string =>
    [`${upper}=RW`, ...lowers.map((lower) => `${lower}=RO`)].join(":");
  const whole = (name: string, mount: UnionKind["mount"]): UnionKind => ({ name, isCopyOnWrite: true, mount });
  const ours = (name: string, more: string): UnionKind =>
    whole(name, (layers, target) => run([fallthru, "mount", "-o", options(layers) + more, target]));
  const kept = "cache.files=full,cache.attr=3600,cache.entry=3600,cache.negative_entry=3600";
  return [
    ours("fallthru", ""),
    ours("passthrough=off", ",passthrough=off"),
    whole("overlay", (layers, target) =>
      run(["mount", "-t", "overlay", "-o", `${options(layers)},index=on,metacopy=on`, "overlay", target]),
    ),
    whole("fuse-overlayfs", (layers, target) => run(["fuse-overlayfs", "-o", options(layers), target])),
    {
      name: "unionfs-fuse",
      isCopyOnWrite: true,
      mount: (layers, target) =>
        run([
          "unionfs",
          "-o",
          "cow,allow_other,default_permissions,use_ino,kernel_cache,suid,dev",
          branches(layers),
          target,
        ]),
    },
    {
      name: "mergerfs",
      isCopyOnWrite: false,
      mount: (layers, target) =>
        run([
          "mergerfs",
          "-o",
          `allow_other,use_ino,category.create=ff,minfreespace=0,${kept},cache.readdir=true,cache.symlinks=true`,
          branches(layers),
          target,
        ]),
    },
  ];
}

/** Mounts, has `body` do its work, and leaves nothing. */
export function withUnion<T>(kind: UnionKind, lowers: readonly string[], base: string, body: (merged: string) => T): T {
  const place = join(base, "union");
  const [upper, work, merged] = [join(place, "upper"), join(place, "work"), join(place, "merged")];
  for (const directory of [upper, work, merged]) mkdirSync(directory, { recursive: true });
  kind.mount({ lowers, upper, work }, merged);
  try {
    return body(merged);
  } finally {
    unmountWhenIdle(merged);
    // A server that still ends may be deleting there itself.
    run(["rm", "-rf", place]);
  }
}

/** What was started inside may take a moment to end. */
function unmountWhenIdle(path: string): void {
  const wait = `i=0; until umount "$0" 2>/dev/null; do i=$((i+1)); [ $i -lt 500 ] || exit 1; sleep 0.02; done`;
  run(["sh", "-c", wait, path]);
}
