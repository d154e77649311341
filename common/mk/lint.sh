#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Everything that looks at sources without running them. Each finding is one line: FILE:LINE: what; what to do.
#   lint.sh RESULT FILE.c FILE.h...   "passed failed skipped" (checks, not findings) goes to RESULT
# CHECKS="format tidy" runs only these; ONLY="services/edge" keeps the findings of these folders.
set -u
here=$(dirname "$0")
result=$1
shift
cache=${BUILD:-build}/lint
mkdir -p "$cache/cppcheck" "$(dirname "$result")"
passed=0 failed=0

check() { # name command...
	local name=$1 start=$SECONDS found code
	shift
	[[ " ${CHECKS:-$name} " == *" $name "* ]] || return
	found=$("$@" 2>&1)
	code=$?
	if [ $code = 0 ]; then
		passed=$((passed + 1))
		printf '  ok      %-9s %3d s\n' "$name" $((SECONDS - start))
	else
		failed=$((failed + 1))
		printf '  FAILED  %-9s %3d s  %d findings\n' "$name" $((SECONDS - start)) "$(grep -cE '^[^ ]+:[0-9]+: ' <<<"$found")"
		sed 's/^/    /' <<<"$found"
	fi
}

format() { # FILE...
	local said
	said=$(clang-format --dry-run -Werror "$@" 2>&1) && return
	grep -E '^[^ ]+:[0-9]+:[0-9]+: ' <<<"$said" | awk -F: '
		!($1 in n) { first[$1] = $2; order[++files] = $1 }
		{ n[$1]++ }
		END { for (i = 1; i <= files; i++) printf "%s:%d: not as clang-format writes it (%d places); run `make fmt`\n", order[i], first[order[i]], n[order[i]] }'
	return 1
}

cpp_check() {
	cppcheck --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --std=c11 -j2 --quiet \
		--cppcheck-build-dir="$cache/cppcheck" -I. -D_GNU_SOURCE -D__GNUC__ -D__x86_64__ \
		--include="$here/cppcheck.h" --suppress=unknownMacro \
		--template='{file}:{line}: {severity}: {message} [{id}]; mend it, or // cppcheck-suppress id ; why' "$@"
}

check selftest python3 "$here/check_test.py"
for name in $(python3 "$here/check.py"); do
	check "$name" python3 "$here/check.py" "$name"
done
# shellcheck disable=SC2086
check docs "$here/docs.sh" check ${DOC_TOOLS:-}
if [ $# != 0 ]; then
	check format format "$@"
	mapfile -t sources < <(printf '%s\n' "$@" | grep '\.c$')
	check cppcheck cpp_check "${sources[@]}"
	check tidy python3 "$here/tidy.py" "$cache/tidy" "${sources[@]}"
fi
echo "lint: $passed checks passed, $failed failed"
echo "$passed $failed 0" >"$result"
[ $failed = 0 ]
