#!/bin/sh
# Builds Fallthru: `sh build.sh [install] [executable] [library]`, all of them without an argument.
#   install     node_modules, where package-lock.json is newer
#   executable  build/fallthru with koffi.node beside it (ARCHITECTURE.md, fact 1), manual pages, completions
#   library     dist/, for Node >= 22
# Everything is made under a temporary name and renamed, so a running executable isn't disturbed; two builds at
# once wait for each other. What was there stays when a step fails.
set -eu
cd "$(dirname "$0")"
bun=node_modules/.bin/bun

install() {
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    if [ -L node_modules ]; then
      echo "fallthru: node_modules is a link, and npm would empty what it leads to: rm node_modules, and run this again" >&2
      exit 1
    fi
    command -v npm >/dev/null || { echo "fallthru: npm is missing: apt-get install npm" >&2; exit 1; }
    npm ci --ignore-scripts --loglevel=error >&2
    touch node_modules/.package-lock.json
  fi
  # Bun's own package holds a stand-in until its install script has run, which newer versions of npm don't do.
  if "$bun" --version >/dev/null 2>&1; then return; fi
  for binary in node_modules/@oven/bun-linux-*/bin/bun; do
    if "$binary" --version >/dev/null 2>&1; then
      ln -f "$binary" "$(readlink -f "$bun")"
      return
    fi
  done
  echo "fallthru: no Bun for this machine ($(uname -m))" >&2
  exit 1
}

executable() {
  : >"$temporary/started"
  # --splitting keeps what only one verb imports, node: modules too, out of the others' start (1.5 ms for --version).
  "$bun" tools/bundle.ts "$temporary/js" >&2
  "$bun" build --compile --minify --bytecode --splitting --format=esm --no-compile-autoload-dotenv --no-compile-autoload-bunfig \
    --compile-jit-policy=40 \
    --outfile "$temporary/fallthru" "$temporary/js/main.js" >"$temporary/log" 2>&1 || { cat "$temporary/log" >&2; exit 1; }
  "$bun" tools/align.ts "$temporary/fallthru"
  for koffi in node_modules/@koromix/koffi-linux-*/linux_*/koffi.node; do
    cp "$koffi" "$temporary/koffi.node"
  done
  if [ -e src/cli/man.ts ]; then
    mkdir "$temporary/share"
    "$bun" src/cli/man.ts "$temporary/share" >&2
    cp -R share/. "$temporary/share"
    rm -rf build/share
    mv "$temporary/share" build/share
  fi
  # A source that changes during the build is newer than what was built.
  touch -r "$temporary/started" "$temporary/fallthru"
  mv "$temporary/koffi.node" build/koffi.node
  mv "$temporary/fallthru" build/fallthru
}

library() {
  node_modules/.bin/tsc --project tsconfig.build.json --outDir "$temporary/dist" >&2
  if [ -e dist ]; then mv dist "$temporary/old"; fi
  mv "$temporary/dist" dist
}

mkdir -p build
exec 9>build/.lock
flock 9
rm -rf build/.new-* # of a build that was killed
temporary=$(mktemp -d build/.new-XXXXXX)
trap 'rm -rf "$temporary"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ $# = 0 ]; then set -- install executable library; fi
for step; do
  case $step in
    install | executable | library) "$step" 9>&- ;;
    *) echo "fallthru: build.sh: no step $step" >&2; exit 2 ;;
  esac
done
