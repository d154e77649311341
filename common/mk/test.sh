#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make test: every stage with its time, then one line that adds up their tests.
set -u
results=${BUILD:-build}/results
logs=${BUILD:-build}/log
make=${MAKE:-make}
passed=0 failed=0 skipped=0
broken=
table=
whole_start=$SECONDS
mkdir -p "$results" "$logs"
rm -f "$results"/*

# stage TITLE RESULT-FILE|- make-arguments...
stage() {
	local title=$1 result=$2 start=$SECONDS code p=0 f=0 s=0
	shift 2
	printf '\n== %s\n' "$title"
	$make --no-print-directory QUIET=1 "$@"
	code=$?
	[ "$code" = 130 ] && exit 130
	if [ "$result" != - ]; then
		read -r p f s 2>/dev/null <"$results/$result" || f=1
	fi
	if [ $code != 0 ]; then
		[ "$f" = 0 ] && f=1
		broken="$broken
  failed: $title    (make $*)"
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	table="$table$(printf '\n  %4d s  %5d passed %4d failed  %s' $((SECONDS - start)) "$p" "$f" "$title")"
	printf -- '-- %s: %d s\n' "$title" $((SECONDS - start))
	return $code
}

finish() {
	printf '\n%s\n  %4d s in all%s\n' "stages:$table" $((SECONDS - whole_start)) "$broken"
	[ "$skipped" != 0 ] && echo "  $skipped skipped"
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
	exit
}
trap 'exit 130' INT
trap 'exit 143' TERM

jobs=-j$(nproc 2>/dev/null || echo 2)
stage 'Debian packages' - deps || finish
stage 'build' - "$jobs" all || finish
stage 'lint' lint lint
stage 'unit tests' unit-release "$jobs" unit
stage 'unit tests, address and undefined behaviour sanitizers' unit-asan-ubsan "$jobs" unit SAN=address,undefined
stage 'fuzz targets' fuzz "$jobs" fuzz-short
stage 'scenarios' scenario-release "$jobs" scenario
stage 'scenarios under sanitizers' scenario-asan-ubsan "$jobs" scenario SAN=address,undefined "TESTS=${SAN_TESTS:-tests/10_*.test.mjs tests/12_*.test.mjs tests/71_*.test.mjs}"
stage 'scenarios with faults on links' scenario-faults "$jobs" scenario FAULTS=1 TESTS=tests/78_bad_network.test.mjs
finish
