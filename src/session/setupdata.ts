import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { runDir } from "./paths.ts";

const schrootDirectory = "/usr/share/schroot/setup";
const ownDirectory = `${runDir}/setup`;

/**
 * Three files of shell code that setup scripts read (`. "$SETUP_DATA_DIR/common-data"`), for machines on which schroot's
 * own are gone with it and the administrator's scripts have stayed.
 */
const files: Readonly<Record<string, string>> = {
  "common-data": `STAGE=$1 STATUS=$2
DEVTYPE=-b
`,
  "common-functions": `info() { if [ "$VERBOSE" = verbose ]; then echo "$*"; fi; }
warn() { echo "warning: $*" >&2; }
error() { echo "error: $*" >&2; }
fatal() { error "$@"; exit 1; }
`,
  "common-config": `if [ -n "$SETUP_CONFIG" ]; then
  SETUP_CONFIG=$SYSCONF_DIR/$SETUP_CONFIG
  if [ -f "$SETUP_CONFIG" ]; then . "$SETUP_CONFIG"; fi
fi
if [ -n "$CHROOT_SCRIPT_CONFIG" ]; then
  for setup_file in fstab copyfiles nssdatabases; do
    eval "$(echo "$setup_file" | tr a-z A-Z)=\\\${CHROOT_SCRIPT_CONFIG%/*}/$setup_file"
  done
  if [ -f "$CHROOT_SCRIPT_CONFIG" ]; then . "$CHROOT_SCRIPT_CONFIG"; fi
fi
SETUP_FSTAB=\${FSTAB:-\${SETUP_FSTAB:+$SYSCONF_DIR/$SETUP_FSTAB}}
SETUP_COPYFILES=\${COPYFILES:-\${SETUP_COPYFILES:+$SYSCONF_DIR/$SETUP_COPYFILES}}
SETUP_NSSDATABASES=\${NSSDATABASES:-\${SETUP_NSSDATABASES:+$SYSCONF_DIR/$SETUP_NSSDATABASES}}
`,
};

/** Where the scripts find them: schroot's where they are there, else ours, which are written. */
export function dataDirectory(): string {
  if (existsSync(`${schrootDirectory}/common-data`)) return schrootDirectory;
  mkdirSync(ownDirectory, { recursive: true, mode: 0o700 });
  for (const [name, text] of Object.entries(files)) {
    if (existsSync(`${ownDirectory}/${name}`)) continue;
    const temporary = `${ownDirectory}/.${name}.${process.pid}`;
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, `${ownDirectory}/${name}`);
  }
  return ownDirectory;
}
