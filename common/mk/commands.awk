# SPDX-License-Identifier: Apache-2.0
# Source files, one a line, to compile_commands.json.
function quote(s) {
	gsub(/\\/, "\\\\&", s)
	gsub(/"/, "\\\"", s)
	return "\"" s "\""
}
BEGIN { printf "[" }
NF {
	printf "%s\n{\"directory\": %s, \"file\": %s, \"command\": %s}", n++ ? "," : "",
		quote(ENVIRON["DIR"]), quote($0), quote(ENVIRON["COMMAND"] " -DROOMWIRE_VERSION='\"dev\"' -c -o /dev/null " $0)
}
END { print "\n]" }
