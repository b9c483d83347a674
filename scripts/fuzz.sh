#!/bin/sh
# Runs every fuzz target of the module for the given time each: fuzz.sh 1m [NAME…]. Small inputs are preferred over minimal
# ones, because minimizing is what takes the time.
set -eu
time=$1
shift
ran=$(mktemp)
trap 'rm -f "$ran"' EXIT
grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$file"); do
		[ $# -eq 0 ] || case " $* " in *" $target "*) ;; *) continue ;; esac
		echo "$target" >>"$ran"
		echo "$target in $(dirname "$file")"
		"${GO:-go}" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "$(dirname "$file")"
	done
done
[ -s "$ran" ] || { echo "error: there is no such fuzz target: $*" >&2; exit 1; }
