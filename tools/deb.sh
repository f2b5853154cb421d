#!/bin/sh
# Packs what `npm run build` made as a Debian package that takes schroot's place: `npm run deb` writes
# build/fallthru_VERSION_ARCH.deb.
set -eu
cd "$(dirname "$0")/.."
sh build.sh install executable

version=$(node -p 'require("./package.json").version')
arch=$(dpkg --print-architecture)
multiarch=$(dpkg-architecture -q DEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch 2>/dev/null || echo "$(uname -m)-linux-gnu")
# The version that stands for schroot's: what asks for schroot (>= 1.6.0) is satisfied.
schroot=1.6.13-99+fallthru$version

root=$(mktemp -d build/.deb-XXXXXX)
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
umask 022
chmod 755 "$root"

into() { install -d "$root/$1"; }

into usr/lib/fallthru
install -m 755 build/fallthru "$root/usr/lib/fallthru/"
install -m 644 build/koffi.node "$root/usr/lib/fallthru/"
into usr/bin
for name in fallthru schroot fallthru-login; do ln -s ../lib/fallthru/fallthru "$root/usr/bin/$name"; done
# Where setup scripts of an administrator's own look for them: $LIBEXEC_DIR.
into "usr/lib/$multiarch/schroot"
for name in schroot-mount schroot-listmounts; do ln -s ../../fallthru/fallthru "$root/usr/lib/$multiarch/schroot/$name"; done
into usr/share
cp -R build/share/. "$root/usr/share/"
into sbin
# Absolute: /sbin may itself be a link to /usr/sbin.
# The second for what is mounted already: the type that the kernel says it has.
for type in fallthru fuse.fallthru; do ln -s /usr/share/fallthru/mount.fallthru "$root/sbin/mount.$type"; done
into lib/systemd
mv "$root/usr/share/systemd" "$root/lib/systemd/system"
into etc
mv "$root/usr/share/schroot" "$root/etc/schroot"
into etc/schroot/chroot.d
into etc/schroot/setup.d
find "$root/usr/share/man" -type f -exec gzip -9n {} +
into usr/share/doc/fallthru
cp LICENSE "$root/usr/share/doc/fallthru/copyright"
gzip -9nc CHANGELOG.md >"$root/usr/share/doc/fallthru/changelog.gz"

into DEBIAN
cat >"$root/DEBIAN/control" <<CONTROL
Package: fallthru
Version: $version
Architecture: $arch
Maintainer: Fallthru's maintainers <maintainers@fallthru.invalid>
Installed-Size: $(du -sk "$root" | cut -f1)
Section: admin
Priority: optional
Depends: libc6 (>= 2.34), libstdc++6
Recommends: mmdebstrap | debootstrap
Provides: schroot (= $schroot), schroot-common (= $schroot)
Conflicts: schroot, schroot-common
Replaces: schroot, schroot-common
Description: throw-away root file systems in milliseconds
 Every login and every build gets a private, copy-on-write view of a root file
 system, which is gone afterwards, or whose changes are kept. It takes the place
 of schroot: sbuild, autopkgtest, piuparts and buildd work with it unchanged.
CONTROL
(cd "$root" && find etc -type f | sed 's|^|/|' | sort) >"$root/DEBIAN/conffiles"
# By deb-systemd-helper(1p), as debhelper's packages do it: also where no systemd runs (an image that is being made), and what an
# administrator has disabled stays so.
cat >"$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  # dpkg writes in small pieces; what is written in large ones the kernel maps in huge pages, and starts 0.9 ms earlier (docs/performance.md).
  program=/usr/lib/fallthru/fallthru
  if dd if=$program of=$program.new bs=4M conv=fsync status=none && chmod 755 $program.new; then
    mv -f $program.new $program
  else
    rm -f $program.new
  fi
  for unit in fallthru.service fallthrud.socket; do
    deb-systemd-helper unmask $unit >/dev/null
    if deb-systemd-helper --quiet was-enabled $unit; then
      deb-systemd-helper enable $unit >/dev/null
    else
      deb-systemd-helper update-state $unit >/dev/null
    fi
  done
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    deb-systemd-invoke start fallthru.service fallthrud.socket
    # Logins that are open go on; new ones need a service that speaks as their client does.
    deb-systemd-invoke try-restart fallthrud.service
  fi
fi
POSTINST
cat >"$root/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ]; then
  sessions=$(fallthru list --json 2>/dev/null | grep -o '"id"' | wc -l || true)
  if [ "$sessions" -gt 0 ]; then
    echo "fallthru: $sessions sessions are open; end them first: fallthru end --all" >&2
    exit 1
  fi
  users=$(grep ':/usr/bin/fallthru-login$' /etc/passwd | cut -d: -f1 | tr '\n' ' ')
  if [ -n "$users" ]; then
    echo "fallthru: without it these could not log in any more: $users" >&2
    echo "fallthru: give them their shells back first: fallthru login disable --user NAME, or --group NAME" >&2
    exit 1
  fi
  forced=$(grep -ls 'ForceCommand /usr/bin/fallthru login' /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf || true)
  if [ -n "$forced" ]; then
    echo "fallthru: without it whom this names could not log in any more:" $forced >&2
    echo "fallthru: fallthru login disable --user NAME, or --group NAME, takes it away" >&2
    exit 1
  fi
  if [ -d /run/systemd/system ]; then
    deb-systemd-invoke stop fallthrud.socket fallthrud.service fallthru.service
  fi
fi
PRERM
cat >"$root/DEBIAN/postrm" <<'POSTRM'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
if [ "$1" = purge ] && [ -x /usr/bin/deb-systemd-helper ]; then
  deb-systemd-helper purge fallthru.service fallthrud.socket >/dev/null
  deb-systemd-helper unmask fallthru.service fallthrud.socket >/dev/null
fi
POSTRM
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm" "$root/DEBIAN/postrm"

file=build/fallthru_${version}_$arch.deb
dpkg-deb --root-owner-group -Zzstd -z9 --build "$root" "$file.new" >&2
mv "$file.new" "$file"
echo "$file"
