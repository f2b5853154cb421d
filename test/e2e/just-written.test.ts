// What insserv's test suite does and once failed at on overlayfs: a file that was just written is opened again, through the same
// name, by the same process and by others, while the directory around it is read. On both unions.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { describeChroot } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";

/** A tree like its `root/etc/init.d`, some scripts of which lie below. */
const script = `
  set -e
  cd /etc/init.d
  for round in $(seq 40); do
    for name in lower$((round % 8)) "new$round"; do
      printf '#!/bin/sh\\n# Provides: %s\\n' "$round" >"$name"
      read -r first <"$name"
      exec 3>>"$name" 4<"$name"
      echo "# Required-Start: $round" >&3
      ls . >/dev/null
      lines=$(cat <&4 | wc -l)
      exec 3>&- 4<&-
      [ "$first $lines $(tail -n 1 "$name")" = "#!/bin/sh 3 # Required-Start: $round" ] || { echo "$round: $name"; exit 1; }
      # Written beside it and renamed over it, as insserv writes .depend.*; then removed and written anew.
      echo "$round" >"$name.tmp"; mv "$name.tmp" "$name"
      [ "$(cat "$name")" = "$round" ]
      rm "$name"; echo again >"$name"
      [ "$(cat "$name")" = again ]
    done
    ln -sf ../init.d/new$round /etc/rc2.d/S$round
    [ "$(cat /etc/rc2.d/S$round)" = again ]
  done
  ls | wc -l`;

test.each(["overlay", "fallthru"])(
  "a file that was just written is opened and read, under union-type=%s",
  async (union) => {
    const root = tinyRoot();
    for (const name of ["init.d", "rc2.d"]) mkdirSync(join(root, "etc", name));
    for (let index = 0; index < 8; index++) writeFileSync(join(root, `etc/init.d/lower${index}`), "below\n");
    describeChroot(union, root, [`union-type=${union}`, "profile=minimal"]);
    const { status, stdout, stderr } = await fallthru(["run", union, "--", "sh", "-c", script]);
    expect({ status, stdout: stdout.trim(), stderr }).toEqual({ status: 0, stdout: "48", stderr: "" });
  },
);
