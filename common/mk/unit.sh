#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs cmocka programs, two at a time: one line each, and what they said where something failed.
#   unit.sh OUT RESULT PROGRAM...   programs lie under OUT; "passed failed skipped" goes to RESULT
set -u
out=$1
result=$2
shift 2
limit_seconds=${UNIT_SECONDS:-120}
logs=$out/unit
mkdir -p "$logs" "$(dirname "$result")"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
rm -f "$logs"/*

run_one() { # program: its line on standard output, its counts in LOGS/name.count
	local program=$1 name log code passed failed skipped word
	name=${program#"$out"/}
	log=$logs/${name//\//.}
	# TAP goes to standard output; a sanitizer's report and the program's own words to the same log
	CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 5 "$limit_seconds" "$program" >"$log.log" 2>&1 </dev/null
	code=$?
	# cmocka writes a skipped test as "not ok N # SKIP name"
	skipped=$(grep -cE '^(not )?ok [0-9]+ .*# ?SKIP' "$log.log")
	passed=$(grep -E '^ok [0-9]+' "$log.log" | grep -cvE '# ?SKIP')
	failed=$(grep -E '^not ok [0-9]+' "$log.log" | grep -cvE '# ?SKIP')
	word=ok
	[ "$skipped" != 0 ] && word="ok, $skipped skipped"
	if [ $code != 0 ] || [ "$failed" != 0 ]; then
		[ "$failed" = 0 ] && failed=1
		word="FAILED (exit $code)"
		[ $code -ge 124 ] && [ $code -le 137 ] && word="FAILED (stopped after $limit_seconds s)"
	elif [ "$passed" = 0 ] && [ "$skipped" = 0 ]; then
		failed=1
		word="FAILED (it ran no test)"
	fi
	echo "$passed $failed $skipped" >"$log.count"
	printf '  %-44s %4d passed  %s\n' "$name" "$passed" "$word"
	[ "$failed" = 0 ] || grep -E '^not ok|^#|rror|SUMMARY|^ *#[0-9]' "$log.log" | grep -vE '^# ok|# ?SKIP' | head -n 60 | sed 's/^/      /'
}
export -f run_one
export out logs limit_seconds

if [ $# = 0 ]; then
	echo "  no unit tests found"
	echo 0 0 0 >"$result"
	exit 0
fi
printf '%s\0' "$@" | xargs -0 -n 1 -P 2 bash -c 'run_one "$1"; :' _
cat "$logs"/*.count | awk -v programs=$# '
	{ p += $1; f += $2; s += $3 }
	END {
		printf "%d programs: %d passed, %d failed, %d skipped\n", programs, p, f, s
		print p, f, s > "'"$result"'"
		exit f > 0 || NR != programs
	}'
