#!/bin/sh
# Makes sure that a container engine answers. Installs and starts Debian's only where none does, and says so.
set -eu
answers() { command -v docker >/dev/null && docker version >/dev/null 2>&1; }

answers && exit 0
if ! command -v dockerd >/dev/null; then
	echo 'no container engine answers here: installing docker.io from Debian'
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq docker.io >/dev/null
	# From trixie on the client is a package of its own.
	command -v docker >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq docker-cli >/dev/null
fi
answers && exit 0
if [ -d /run/systemd/system ]; then
	echo 'starting docker.service'
	systemctl start docker
else
	echo 'starting dockerd in the background, its log is /var/log/dockerd.log'
	setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &
fi
for _ in $(seq 60); do
	answers && exit 0
	sleep 1
done
echo 'error: the container engine does not answer after 60 s; look at `journalctl -u docker` or /var/log/dockerd.log' >&2
exit 1
