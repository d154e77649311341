#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs scenario files with node's test runner, a fixed number at a time.
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
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
# --foreground: Ctrl-C must reach the tests, which end what they started
timeout --foreground -k 30 "${SCENARIO_SECONDS:-900}" node --test --test-concurrency="${SCENARIO_JOBS:-2}" \
	--test-reporter=spec --test-reporter-destination=stdout \
	--test-reporter=tap --test-reporter-destination="$result.tap" "$@"
code=$?
[ $code = 124 ] && echo "stopped after ${SCENARIO_SECONDS:-900} s (SCENARIO_SECONDS)"
awk -v code=$code '
	/^# pass / { p = $3 }
	/^# (fail|cancelled) / { f += $3 }
	/^# (skipped|todo) / { s += $3 }
	END { print p + 0, (code && !f) ? 1 : f + 0, s + 0 }' "$result.tap" >"$result"
exit $code
