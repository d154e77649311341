#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Generated pages: written anew, or only compared with what is committed.
#   docs.sh write|check PROGRAM...
set -u
mode=$1
shift
stale=0
for program in "$@"; do
	pages=$("$program") || exit 1
	for page in $pages; do
		fresh=$("$program" "$page" && echo x) || { echo "$program $page failed"; exit 1; }
		fresh=${fresh%x}
		printf '%s' "$fresh" | cmp -s - "$page" && continue
		if [ "$mode" = write ]; then
			mkdir -p "$(dirname "$page")"
			printf '%s' "$fresh" >"$page"
			echo "  wrote $page"
		else
			echo "$page:1: is not what its source says today; run \`make docs\` and commit the page"
			stale=1
		fi
	done
done
exit $stale
