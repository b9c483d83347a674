#!/bin/sh
# Prints the version of the working tree as Debian takes and orders it:
#
#   v1.2.3                1.2.3
#   v1.2.3-rc.1           1.2.3~rc.1           comes before 1.2.3
#   v1.2.3, 4 commits on  1.2.3+4.gabc1234     comes after it
#   no tag, 7 commits     0.0.0+7.gabc1234
#   no commit             0.0.0+dev
#
# Changes that are not committed add ".dirty".
set -e

described=$(git describe --tags --long --match 'v[0-9]*' 2>/dev/null || true)
commit=$(git rev-parse --short HEAD 2>/dev/null || true)
if [ -n "$described" ]; then
	commits=${described%-g*}
	tag=${commits%-*}
	commits=${commits##*-}
	version=$(printf '%s' "${tag#v}" | tr '-' '~')
	if [ "$commits" != 0 ]; then
		version="$version+$commits.g$commit"
	fi
elif [ -n "$commit" ]; then
	version="0.0.0+$(git rev-list --count HEAD).g$commit"
else
	echo 0.0.0+dev
	exit 0
fi
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
	case $version in
	*+*) version="$version.dirty" ;;
	*) version="$version+dirty" ;;
	esac
fi
# Whatever else a tag may hold, Debian allows these characters only.
printf '%s\n' "$version" | tr -c 'A-Za-z0-9.+~\n' '.'
