#!/bin/sh
# Reads `go test -v` and shows what ran: the verdict of each test down to two levels, what tests print, and everything
# about a failure. It ends as the tests did.
exec awk '
	/^=== / { next }
	/^    +--- PASS/ && !/^    --- PASS/ { n++; next }
	/^--- FAIL|^FAIL|^panic:|^ *--- FAIL/ { bad = 1 }
	/^ok |^--- |^    --- / { passed += /PASS/ }
	{ print }
	END { printf "%d subtests below the second level passed\n", n; exit bad }
'
