#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Works on the table of deps.mk.
#   deps.sh modules [test]    pkg-config modules to link (test: those of the unit tests)
#   deps.sh libraries         -lNAME of libraries without pkg-config module
#   deps.sh explain           which library of the build stage is missing; fails if one is
#   deps.sh install STAGE...  installs the missing packages of these stages
#   deps.sh list              the table, for people
set -u
here=$(dirname "$0")

# package stages version how what-for, tab separated
rows() {
	sed -n '/^define DEPS_TABLE/,/^endef/p' "$here/deps.mk" | sed '1d;$d' |
		sed -E 's/[ \t]*\|[ \t]*/\t/g; s/^[ \t]+//'
}

in_stages() { # "run,test" build run
	local have=$1 wanted
	shift
	for wanted in "$@"; do
		[[ ",$have," == *",$wanted,"* ]] && return 0
	done
	return 1
}

installed() { # package version
	local version
	version=$(dpkg-query -W -f='${db:Status-Status} ${Version}' "$1" 2>/dev/null) || return 1
	[[ $version == installed\ * ]] && dpkg --compare-versions "${version#installed }" ge "$2"
}

node_is_new_enough() { # 18.19
	command -v node >/dev/null && node -e '
		const [a, b] = process.versions.node.split(".").map(Number);
		const [x, y] = process.argv[1].split(".").map(Number);
		process.exit(a > x || (a === x && b >= y) ? 0 : 1)' "$1"
}

header_exists() { # http_parser.h
	echo "#include <$1>" | "${CC:-gcc}" -E -xc - >/dev/null 2>&1
}

present() { # package version how
	case $3 in
	cmd:*) command -v "${3#cmd:}" >/dev/null ;;
	node:*) node_is_new_enough "${3#node:}" ;;
	pc:* | pctest:*)
		if command -v dpkg-query >/dev/null; then
			installed "$1" "$2" || pkg-config --exists "${3#*:}" 2>/dev/null
		else
			pkg-config --exists "${3#*:}" 2>/dev/null
		fi
		;;
	h:*)
		local header=${3#h:}
		installed "$1" "$2" 2>/dev/null || header_exists "${header%=*}"
		;;
	*) ! command -v dpkg-query >/dev/null || installed "$1" "$2" ;;
	esac
}

missing() { # stage...: package<tab>what for
	local package stages version how what
	while IFS=$'\t' read -r package stages version how what; do
		in_stages "$stages" "$@" && ! present "$package" "$version" "$how" &&
			printf '%s\t%s\n' "$package" "$what"
	done < <(rows)
	return 0
}

explain() {
	local found
	found=$(missing build)
	[ -z "$found" ] && return 0
	echo "These Debian packages are missing; \`make deps\` installs them:"
	while IFS=$'\t' read -r package what; do
		printf '  %-20s %s\n' "$package" "$what"
	done <<<"$found"
	return 1
}

# Debian starts what it installs. Servers are only tools of our tests here: none is started, and
# those that came by us are not enabled either. Others are not touched.
guard=/usr/sbin/policy-rc.d
guard_is_ours=
guard_up() {
	[ -e "$guard" ] && return
	printf '#!/bin/sh\n# Roomwire: make deps is running; services stay down\nexit 101\n' |
		$root tee "$guard" >/dev/null && $root chmod 755 "$guard" && guard_is_ours=1
}
guard_down() {
	[ -n "$guard_is_ours" ] && $root rm -f "$guard"
	guard_is_ours=
}
leave_disabled() {
	local package
	for package in postgresql rabbitmq-server redis-server; do
		[[ " $* " == *" $package "* ]] || continue
		if command -v systemctl >/dev/null; then
			$root systemctl disable "$package" >>"$log" 2>&1
		elif command -v update-rc.d >/dev/null; then
			$root update-rc.d "$package" disable >>"$log" 2>&1
		fi
	done
	return 0
}

apt() {
	$root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y \
		-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null >>"$log" 2>&1
}

fail() {
	echo "make deps: $1" >&2
	[ -s "${log:-}" ] && tail -n 15 "$log" | sed 's/^/  /' >&2
	exit 1
}

install() {
	local packages
	packages=$(missing "$@" | cut -f1 | tr '\n' ' ')
	packages=${packages% }
	[ -z "$packages" ] && return 0
	command -v apt-get >/dev/null || fail "this is no Debian: please install $packages"
	root=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || fail "not root and no sudo. As root: apt-get install $packages"
		root=sudo
		echo "installing packages needs root: sudo may ask for your password"
		sudo -v || fail "sudo refused. As root: apt-get install $packages"
	fi
	log=$(mktemp "${TMPDIR:-/tmp}/roomwire-deps.XXXXXX.log")
	trap guard_down EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	echo "installing $packages"
	apt update || echo "  the package lists could not be renewed; trying with those there are"
	guard_up
	# shellcheck disable=SC2086
	apt install --no-install-recommends $packages || fail "apt-get failed (whole log: $log)"
	leave_disabled "$packages"
	guard_down
	rm -f "$log"
	packages=$(missing "$@" | cut -f1 | tr '\n' ' ')
	[ -z "$packages" ] || fail "installed, but still not found or too old: $packages"
}

case ${1:-} in
modules)
	kind=pc
	[ "${2:-}" = test ] && kind=pctest
	rows | cut -f4 | sed -n "s/^$kind://p" | tr '\n' ' '
	;;
libraries) rows | cut -f4 | sed -n 's/^h:.*=/-l/p' | tr '\n' ' ' ;;
explain) explain ;;
install)
	shift
	install "$@"
	;;
list) rows | awk -F'\t' '{ printf "%-20s %-9s >= %-9s %s\n", $1, $2, $3, $5 }' ;;
*)
	echo "usage: deps.sh modules [test] | libraries | explain | install STAGE... | list" >&2
	exit 2
	;;
esac
