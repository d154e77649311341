#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that no compiler knows. check.py NAME prints findings of that check, FILE:LINE: what; what to do.

Without a name: the names. The rules themselves are the tables below.
"""
import os
import re
import sys

# Layers, lowest first. A file includes its own layer and those below it; base knows nothing but itself.
LAYERS = [
    ["common/base"],
    ["common/json"],
    ["proto"],
    ["common/" + d for d in "adapt bus clients conf http log metrics profile sio svc".split()],
    ["services"],
    ["tests"],
]

# Header of a foreign library -> the files that may include it
FOREIGN = {
    r"c?zmq\.h": r"common/adapt/adapt_zmq",
    r"libwebsockets\.h": r"common/adapt/adapt_lws",
    r"msgpack(\.h|/.*)": r"(proto/wire|common/adapt/adapt_sioredis)",
    r"jwt\.h": r"common/adapt/adapt_jwt",
    r"librdkafka/.*": r"common/adapt/adapt_kafka",
    r"(amqp.*\.h|rabbitmq-c/.*)": r"common/adapt/adapt_amqp",
    r"(libpq.*\.h|postgres.*)": r"common/adapt/adapt_pg",
    r"(hiredis\.h|hiredis/.*|async\.h)": r"common/adapt/adapt_redis",
    r"jansson\.h": r"(common/adapt/adapt_jansson|tests/|.*_test\.[ch]$)",
    r"cyaml/.*": r"(common/adapt/adapt_c?yaml|common/profile/profile_(raw|schema))",  # schemas are written with its macros
    r"yaml\.h": r"common/adapt/adapt_c?yaml",
    r"http_parser\.h": r"common/adapt/adapt_http",
    r"openssl/.*": r"(common/adapt/adapt_(openssl|crypto|jwt|jwk)|tests/)",
    r"curl/.*": r"common/adapt/adapt_curl",
    r"z(lib|conf)\.h": r"common/adapt/adapt_deflate",
    r"(uv\.h|uv/.*)": r"(common/|services/|tests/)",
    r"cmocka\.h": r"(.*_test\.[ch]$|tests/)",
}

# What is no library: C, POSIX, Linux
SYSTEM = re.compile(
    r"(sys|linux|net|netinet|arpa|bits|asm|sanitizer)/.*|(assert|byteswap|complex|ctype|dirent|dlfcn|elf|endian|err|errno|error|"
    r"execinfo|fcntl|features|fenv|float|fnmatch|ftw|getopt|glob|grp|ifaddrs|inttypes|iso646|langinfo|libgen|limits|link|"
    r"locale|malloc|math|mqueue|netdb|paths|poll|pthread|pwd|regex|resolv|sched|search|semaphore|setjmp|signal|spawn|"
    r"stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdio_ext|stdlib|stdnoreturn|string|strings|sysexits|syslog|"
    r"termios|threads|time|uchar|ucontext|unistd|utime|wchar|wctype|wordexp|x86intrin|immintrin|arm_neon)\.h")

# Calls with one home. (pattern, where it is banned, where it is allowed, what to do)
ONE_HOME = [
    (r"signal|sigaction|sigwait|signalfd|getopt\w*|uv_run|openlog|syslog|exit|_exit|abort|fork|daemon",
     r"services/", r"services/roomwire/", "the skeleton does this (common/svc); services/roomwire alone is no service"),
    (r"atoi|atol|atoll|atof", r"", r"^$", "it takes any text for 0; use strtoul or the parsers of common/base"),
    (r"sprintf|vsprintf|strcpy|strcat|gets|strtok|alloca", r"", r"^$", "it knows no bound; use snprintf or common/base/buf.h"),
    (r"rand|srand|random|srandom|drand48", r"", r"^$", "it can be guessed; use common/base/rnd.h"),
]

BUDGET_HEADER, BUDGET_C, BUDGET_MAIN, BUDGET_FUNCTION = 200, 600, 150, 60

SKIPPED_FOLDERS = {".git", "node_modules", "build", "bin", ".cache", "corpus", "seeds"}
SOURCE = re.compile(r"(\.(c|h|def|mjs|js|ts|sh|py|mk|awk|sql|ya?ml)|(^|/)(Makefile|Dockerfile[^/]*|\.ci/run))$")

findings = 0
only = os.environ.get("ONLY", "").split()


def report(path, line, what):
    global findings
    if only and not any(path.startswith(folder + "/") for folder in only):
        return
    findings += 1
    print(f"{path}:{line}: {what}")


def tree():
    for folder, folders, files in os.walk("."):
        folders[:] = sorted(d for d in folders if d not in SKIPPED_FOLDERS)
        for name in sorted(files):
            if name.endswith(".min.js"):
                continue  # somebody else's, see `make demo`
            yield os.path.relpath(os.path.join(folder, name), ".")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def c_files():
    return [p for p in tree() if re.match(r"(common|proto|services|tests)/.*\.[ch]$", p)]


TOKENS = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def without(text, comments=True, strings=False):
    """The text with comments (and what is inside literals) blanked, line numbers kept."""
    def blank(m):
        t = m.group(0)
        if t[0] == "/":
            return re.sub(r"[^\n]", " ", t) if comments else t
        return t[0] + " " * (len(t) - 2) + t[-1] if strings else t
    return TOKENS.sub(blank, text)


def lines(text):
    return enumerate(text.split("\n"), 1)


def layer(path):
    for rank, folders in enumerate(LAYERS):
        if any(path.startswith(d + "/") for d in folders):
            return rank
    return None


def includes(path):
    for n, line in lines(without(read(path))):
        m = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
        if m:
            yield n, m.group(1), m.group(2)


def check_layers():
    """includes go down only, are written from the root, and have no cycle"""
    edges = {}
    for path in c_files():
        mine, first = layer(path), True
        own = path[:-2] + ".h"
        for n, ours, _ in includes(path):
            if path.endswith(".c") and first and os.path.exists(own) and ours != own:
                report(path, n, f'the first include is not its own header; put #include "{own}" first')
            first = False
            if ours is None:
                continue
            if not os.path.exists(ours):
                beside = os.path.join(os.path.dirname(path), ours)
                report(path, n, f'"{ours}" is not a path from the root of the repository; '
                       + (f'write "{beside}"' if os.path.exists(beside) else "there is no such file"))
                continue
            edges.setdefault(path, []).append((n, ours))
            other = layer(ours)
            if mine is None or other is None:
                continue
            if other > mine:
                report(path, n, f'upward include: {os.path.dirname(path)} must not know {os.path.dirname(ours)}; '
                       "pass in what is needed, or move it down")
            elif LAYERS[mine] == ["services"] and other == mine and path.split("/")[1] != ours.split("/")[1]:
                report(path, n, f"services never include each other ({ours}); talk over the bus, or share it in common/")
            if ours.endswith("_test.h") and not re.search(r"_test\.[ch]$|^tests/", path):
                report(path, n, f"{ours} is for tests only")
    for path in edges:
        if path.endswith(".h"):
            look_for_cycle(path, edges)


def look_for_cycle(start, edges):
    seen, todo = set(), [(n, to, n) for n, to in edges[start]]
    while todo:
        n, path, first_line = todo.pop()
        if path == start:
            report(start, first_line, "includes itself by way of others; forward-declare the struct instead")
            return
        if path not in seen:
            seen.add(path)
            todo += [(k, to, first_line) for k, to in edges.get(path, [])]


def check_foreign():
    """each foreign library is included by its adapter alone"""
    for path in c_files():
        for n, _, header in includes(path):
            if header is None or SYSTEM.fullmatch(header):
                continue
            for pattern, allowed in FOREIGN.items():
                if re.fullmatch(pattern, header):
                    if not re.match(allowed, path):
                        report(path, n, f"<{header}> belongs to {allowed}*; use what that file offers")
                    break
            else:
                report(path, n, f"<{header}>: of which library? Give it an adapter and a row in FOREIGN of common/mk/check.py")


def check_calls():
    """calls that have one home, or none"""
    for path in c_files():
        if path.startswith("tests/bench/"):
            continue
        text = without(read(path), strings=True)
        for names, banned, allowed, advice in ONE_HOME:
            if not re.match(banned, path) or re.match(allowed, path):
                continue
            if re.search(r"_test\.[ch]$", path) and banned:
                continue
            for n, line in lines(text):
                for m in re.finditer(rf"(?<![\w.>])({names})\s*\(", line):
                    report(path, n, f"{m.group(1)}(): {advice}")


def check_budgets():
    """lines of a header, a .c file, a main.c and a function"""
    for path in c_files():
        text = read(path).split("\n")
        count = len(text) - (text[-1] == "")
        limit = BUDGET_HEADER if path.endswith(".h") else BUDGET_MAIN if path.endswith("/main.c") else BUDGET_C
        if path.startswith("tests/"):
            limit = max(limit, BUDGET_C)
        if count > limit:
            report(path, limit + 1, f"{count} lines, the budget is {limit}; split it by what it owns")
        opened = None
        for n, line in enumerate(text, 1):
            if line.startswith("{"):
                opened = n
            elif line.startswith("}") and opened:
                if n - opened - 1 > BUDGET_FUNCTION:
                    report(path, opened, f"a function of {n - opened - 1} lines, the budget is {BUDGET_FUNCTION}; "
                           "give its parts names")
                opened = None


def check_spdx():
    """the licence line at the top of every source"""
    for path in tree():
        if SOURCE.search(path) and "SPDX-License-Identifier: Apache-2.0" not in "\n".join(read(path).split("\n")[:3]):
            report(path, 1, "no SPDX-License-Identifier: Apache-2.0 in the first three lines; add it as a comment")


def check_words():
    """nothing is left for later"""
    later = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
    for path in tree():
        if not SOURCE.search(path) and not path.endswith(".md"):
            continue
        for n, line in lines(read(path)):
            m = later.search(line)
            if m:
                report(path, n, f"{m.group(1)}: do it now, or write down as a fact what is missing")


def profile_words():
    """Names of profiles, their events, and the prefixes of their rooms."""
    names = {"opsdesk", "inbox", "insightdesk", "campaign", "conformance"}
    events, rooms = set(), set()
    folder = "profiles"
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if not name.endswith(".yaml"):
            continue
        names.add(name[:-5])
        text = re.sub(r"(^|\s)#.*", "", read(os.path.join(folder, name)))
        text = re.sub(r"^auth:.*?(?=^\S)", "", text, flags=re.S | re.M)
        events |= set(re.findall(r"\b(?:event|emit|relay|type|start|stop)\s*:\s*['\"]?([A-Za-z]\w*(?:[.:][\w-]+)+)", text))
        rooms |= set(re.findall(r"['\"]([A-Za-z]\w*):\{", text))
    return names, events, rooms


def check_profiles():
    """no C file knows a profile, one of its events or one of its rooms"""
    names, events, rooms = profile_words()
    literal = re.compile(r'"((?:\\.|[^"\\\n])*)"')
    one_of = lambda words: "|".join(sorted(map(re.escape, words), key=len, reverse=True)) or r"(?!)"
    in_literal = re.compile(rf"(?<![\w.:-])({one_of(names | events)})(?![\w-])|^({one_of(rooms)}):(?=[%{{\w]|$)")
    in_name = re.compile(rf"\b\w*({one_of(n for n in names if len(n) > 6)})\w*\b")
    for path in c_files():
        if re.search(r"_test\.[ch]$|^tests/", path):
            continue
        for n, line in lines(without(read(path))):
            if re.match(r"\s*#\s*include", line):
                continue
            found = [m.group(0) for text in literal.findall(line) for m in in_literal.finditer(text)]
            found += [m.group(0) for m in in_name.finditer(literal.sub('""', line))]
            for word in found:
                report(path, n, f"{word} is a word of a profile; profiles are data: take it from the compiled profile")


CHECKS = {name[6:]: f for name, f in globals().items() if name.startswith("check_")}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in CHECKS:
        print("\n".join(CHECKS))
        sys.exit(0 if len(sys.argv) == 1 else 2)
    CHECKS[sys.argv[1]]()
    sys.exit(1 if findings else 0)
