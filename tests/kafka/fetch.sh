#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Downloads the jars of Apache Kafka that jars.txt names, once, and checks them.
#   fetch.sh FOLDER
set -u
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?folder}
base=${MAVEN_CENTRAL:-https://repo1.maven.org/maven2}
mkdir -p "$folder"
complete=$folder/.complete
cmp -s "$here/jars.txt" "$complete" && exit 0

good() { # sum file
	[ -f "$2" ] && [ "$(sha256sum "$2" | cut -d' ' -f1)" = "$1" ]
}

fetch() { # sum path
	local file=$folder/${2##*/} part=$folder/.part.$$ try
	for try in 1 2 3 4 5; do
		good "$1" "$file" && return 0
		[ "$try" = 1 ] || sleep "$try"
		curl -fsSL --connect-timeout 20 --max-time 300 -o "$part" "$base/$2" && mv "$part" "$file"
	done
	rm -f "$part"
	good "$1" "$file" && return 0
	echo "tests/kafka/fetch.sh: $base/$2 cannot be had with the right contents" >&2
	return 1
}

while read -r sum path; do
	[[ $sum == \#* || -z $path ]] || fetch "$sum" "$path" || exit 1
done <"$here/jars.txt"
cp "$here/jars.txt" "$complete.$$" && mv "$complete.$$" "$complete"
