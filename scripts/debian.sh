#!/bin/sh
# Makes sure that commands are there: debian.sh COMMAND…, each from the Debian package of its name.
set -eu
for command in "$@"; do
	command -v "$command" >/dev/null && continue
	echo "installing $command (Debian package of that name)"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$command" >/dev/null
done
