#!/bin/sh
# Reads `go test -v` and shows what ran: the verdict of each test down to two levels, what tests print, and everything
# about a failure. It fails when a test did, and when none ran.
# mawk reads whole blocks otherwise, and a run of minutes would show nothing.
case $(awk -W version 2>&1 </dev/null) in mawk*) set -- -W interactive ;; esac
exec awk "$@" '
	/^=== / { next }
	/^    +--- PASS/ && !/^    --- PASS/ { n++; next }
	/^FAIL|^panic:|^ *--- FAIL/ { bad = 1 }
	/^ok / { ran = 1 }
	{ print; fflush() }
	END {
		if (n) printf "and %d subtests below the second level passed\n", n
		if (!ran && !bad) print "error: no test ran"
		exit bad || !ran
	}
'
