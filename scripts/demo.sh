#!/bin/sh
# The demo below a throw-away root: demo.sh up | down. Up again with nothing changed changes nothing.
set -eu
cd "$(dirname "$0")/.."
root=${APPLIANCE_DEMO_ROOT:-/tmp/appliance-demo}
appliance="$PWD/build/appliance --root $root"

up() {
	mkdir -p "$root/app/ecs"
	cp testdata/demo/compose.yaml testdata/demo/Dockerfile "$root/app/ecs/"
	mkdir -p "$root/app/env.d"
	# A layer over the embedded default: the ports of the host are not for a demo.
	cat >"$root/app/env.d/10-demo.yml" <<-END
		appliance:
		  listen:
		    http: ["127.0.0.1:${APPLIANCE_DEMO_HTTP:-8080}"]
		    https: ["127.0.0.1:${APPLIANCE_DEMO_HTTPS:-8443}"]
		  page:
		    vendor: Demo Ltd.
		    contact: support@example.org
	END
	chmod 600 "$root/app/env.d/10-demo.yml"
	rebuild=
	if ! cmp -s build/demo "$root/app/ecs/demo"; then
		[ ! -e "$root/app/ecs/demo" ] || rebuild=yes
		cp build/demo "$root/app/ecs/demo"
	fi
	if running; then
		reload
	else
		echo "starting the supervisor, its log is $root/run.log"
		setsid $appliance run --default >>"$root/run.log" 2>&1 </dev/null &
	fi
	if ! $appliance status --wait 5m; then
		echo "error: the demo does not come up; the log is $root/run.log" >&2
		exit 1
	fi
	cat <<-END

		Where to look:
		  curl -k $($appliance status --json | sed -n 's/^ *"\(https:.*\/\)"$/\1/p')    # or your browser; the certificate is self-signed
		  $appliance ui
		  $appliance status --watch
		  $appliance plan
		  $appliance events
		  kill -9 $(cat "$root/run/appliance/lock") && make run     # the containers stay
		  make stop
	END
}

running() { $appliance status --json 2>/dev/null | grep -q '"supervisor"'; }

# Walks again only for a reason: a new program, or a new application.
reload() {
	if ! cmp -s build/appliance "/proc/$(cat "$root/run/appliance/lock")/exe"; then
		echo 'the program is newer than the one that runs: replacing it in place'
		$appliance reload --exec >/dev/null
	fi
	if [ -n "$rebuild" ]; then
		echo 'the demo is newer than the one that runs: building its image anew'
		mkdir -p "$root/data/etc/flags"
		touch "$root/data/etc/flags/force.update.ecs"
		$appliance reload >/dev/null
	fi
}

down() {
	if [ -d "$root" ] && [ -x build/appliance ]; then
		$appliance stop --remove
	fi
	rm -rf "$root"
	docker image rm -f appliance-demo:1 >/dev/null 2>&1 || true # it may never have been built
	echo "the demo is gone: containers, network, image and $root"
}

case ${1-} in
up | down) "$1" ;;
*) echo 'usage: demo.sh up | down' >&2; exit 2 ;;
esac
