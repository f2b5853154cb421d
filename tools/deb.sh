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
ln -s /usr/share/fallthru/mount.fallthru "$root/sbin/mount.fallthru"
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
cat >"$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl enable --now fallthru.service fallthrud.socket
fi
POSTINST
cat >"$root/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ]; then
  sessions=$(fallthru list --json 2>/dev/null | grep -c '"id"' || true)
  if [ "$sessions" -gt 0 ]; then
    echo "fallthru: $sessions sessions are open; end them first: fallthru end --all" >&2
    exit 1
  fi
  if [ -d /run/systemd/system ]; then
    systemctl disable --now fallthrud.socket fallthrud.service fallthru.service
  fi
fi
PRERM
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"

file=build/fallthru_${version}_$arch.deb
dpkg-deb --root-owner-group -Zzstd -z9 --build "$root" "$file.new" >&2
mv "$file.new" "$file"
echo "$file"
