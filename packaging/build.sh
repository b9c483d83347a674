#!/bin/sh
# Builds the Debian package from the root of the source tree:
#
#   packaging/build.sh BINARY FLATYAML NFPM OUTPUT.deb
#
# The binary writes its own man pages and completions. VERSION and ARCH come
# from the environment (deb.mk); the same inputs give the same bytes.
set -eu

BINARY=$1 FLATYAML=$2 nfpm=$3 output=$4
: "${VERSION:=$(packaging/version.sh)}" "${ARCH:=amd64}"
: "${MAINTAINER:=The appliance authors <appliance@localhost>}" "${HOMEPAGE:=}"

# A commit has a time, a working tree without one gets a fixed one.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}"

STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
export BINARY FLATYAML STAGE VERSION ARCH MAINTAINER HOMEPAGE SOURCE_DATE_EPOCH

for shell in bash zsh fish; do
	"$BINARY" completion "$shell" >"$STAGE/completion.$shell"
done

mkdir "$STAGE/man"
"$BINARY" man "$STAGE/man"
gzip -9n "$STAGE"/man/*.1

cp packaging/copyright "$STAGE/copyright"
for license in LICENSE LICENSE.md COPYING; do
	if [ -f "$license" ]; then
		printf '\n' >>"$STAGE/copyright"
		cat "$license" >>"$STAGE/copyright"
	fi
done

gzip -9n >"$STAGE/changelog.gz" <<END
appliance ($VERSION) unstable; urgency=medium

  * Built from the source tree; its history is in version control.

 -- $MAINTAINER  $(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" -R)
END

mkdir -p "$(dirname "$output")"
# Under another name first: an aborted build leaves no package that looks whole.
"$nfpm" package --config packaging/nfpm.yaml --packager deb --target "$output.new.deb"
mv "$output.new.deb" "$output"
