#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs fuzz targets, two at a time: one line each, and the finding where there is one.
#   fuzz.sh OUT RESULT SECONDS fuzz_NAME...
set -u
out=$1
result=$2
seconds=$3
shift 3
mkdir -p "$out/log" "$out/found" "$(dirname "$result")"
rm -f "$out"/log/*.verdict
export out seconds
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

run_one() { # fuzz_NAME
	local target=$1 name=${1#fuzz_} log=$out/log/$1 corpus=$out/corpus/${1#fuzz_} code runs words=() options=()
	mkdir -p "$corpus"
	[ -e "tests/fuzz/$name.dict" ] && words=(-dict="tests/fuzz/$name.dict")
	read -r -a options < <(sed -nE '1,12s|^[/* ]*options: *([^*]*).*|\1|p' "tests/fuzz/$target.c")
	[ -d "tests/fuzz/seeds/$name" ] && corpus="$corpus tests/fuzz/seeds/$name"
	# shellcheck disable=SC2086
	timeout --foreground -k 10 $((seconds + 120)) "$out/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$out/found/$name-" "${words[@]}" "${options[@]}" $corpus >"$log" 2>&1 </dev/null
	code=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ $code = 0 ] && [ "${runs:-0}" -gt 0 ]; then
		echo ok >"$log.verdict"
		printf '  ok      %-24s %s runs, %s edges\n' "$target" "$runs" "$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -c6-)"
	else
		echo failed >"$log.verdict"
		printf '  FAILED  %-24s exit %d, whole log: %s\n' "$target" "$code" "$log"
		grep -nE 'ERROR|SUMMARY|runtime error|^ *#[0-9]+ |Test unit written|Assertion|mismatch' "$log" | grep -vE ' in (fuzzer::|main |_start|__libc_start)' | head -n 30 | sed 's/^/      /'
		echo "      keep the input under tests/fuzz/seeds/$name/ once it is understood"
	fi
}
export -f run_one

[ $# = 0 ] && echo "  no fuzz targets found"
[ $# = 0 ] || printf '%s\0' "$@" | xargs -0 -n 1 -P "${FUZZ_JOBS:-2}" bash -c 'run_one "$1"; :' _
passed=$(cat "$out"/log/*.verdict 2>/dev/null | grep -c '^ok$')
echo "$# fuzz targets, $seconds s each: $passed passed, $(($# - passed)) failed"
echo "$passed $(($# - passed)) 0" >"$result"
[ "$passed" = $# ]
