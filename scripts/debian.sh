#!/bin/sh
# Makes sure that commands are there: debian.sh COMMAND[=PACKAGE]…, each from the Debian package of its own or the given name.
set -eu
for wanted in "$@"; do
	command=${wanted%%=*} package=${wanted#*=}
	PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null && continue
	echo "installing $package (Debian) for $command"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
done
