#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs scenario files by tests/run.mjs, which starts PostgreSQL and RabbitMQ once for all of them.
#   scenario.sh RESULT FILE...   "passed failed skipped" goes to RESULT
set -u
result=$1
shift
mkdir -p "$(dirname "$result")"
if [ $# = 0 ]; then
	echo "  no scenarios found"
	echo 0 0 0 >"$result"
	exit 0
fi
limit_seconds=${SCENARIO_SECONDS:-1800}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
if [ -e tests/run.mjs ]; then
	runner=(node tests/run.mjs)
else
	runner=(node --test --test-concurrency="${SCENARIO_JOBS:-2}" --test-reporter=spec)
fi
# --foreground and tee -i: Ctrl-C must reach the tests, which end what they started, and their last words the reader
timeout --foreground -k 30 "$limit_seconds" "${runner[@]}" "$@" 2>&1 </dev/null | tee -i "$result.log"
code=${PIPESTATUS[0]}
[ "$code" = 124 ] && echo "stopped after $limit_seconds s (SCENARIO_SECONDS)"
sed 's/\x1b\[[0-9;]*m//g' "$result.log" | awk -v code="$code" '
	/^(ℹ|#) pass [0-9]+$/ { p = $3 }
	/^(ℹ|#) (fail|cancelled) [0-9]+$/ { f += $3 }
	/^(ℹ|#) (skipped|todo) [0-9]+$/ { s += $3 }
	END { print p + 0, (code && !f) ? 1 : f + 0, s + 0; exit !code && !p && !s }' >"$result" ||
	{ echo "no scenario was run"; code=1; }
exit "$code"
