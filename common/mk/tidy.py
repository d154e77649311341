#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over compile_commands.json, two files at a time; a file that passed is not looked at again until it, one of
its headers, its flags or .clang-tidy change.   tidy.py CACHE-FOLDER [FILE...]"""
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

FINDING = re.compile(r"^(\S+?):(\d+):\d+: (?:error|warning): (.*)$", re.M)
JOBS = int(os.environ.get("LINT_JOBS") or 2)


def run(command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")


def key_of(entry, base):
    """Hash of all that the verdict depends on, None if the file cannot be preprocessed."""
    command = shlex.split(entry["command"])
    command = [command[0], "-MM"] + [a for a in command[1:] if a not in ("-c", "-Werror", "-o", "/dev/null")]
    made = run(command)
    if made.returncode:
        return None
    digest = hashlib.sha256(base + entry["command"].encode())
    for path in made.stdout.replace("\\\n", " ").split(":", 1)[-1].split():
        with open(path, "rb") as f:
            digest.update(path.encode() + b"\0" + f.read())
    return digest.hexdigest()


def tidy(entry, base, cache):
    key = key_of(entry, base)
    stamp = key and os.path.join(cache, key)
    if stamp and os.path.exists(stamp):
        os.utime(stamp)
        return True, ""
    made = run(["clang-tidy", "--quiet", "-p", ".", entry["file"]])
    clean = made.returncode == 0 and not FINDING.search(made.stdout)
    if clean and stamp:
        open(stamp, "w").close()
    return clean, made.stdout if FINDING.search(made.stdout) else made.stdout + made.stderr


def forget_old(cache, keep=2000):
    stamps = sorted((e.stat().st_mtime, e.path) for e in os.scandir(cache))
    for _, path in stamps[:-keep]:
        os.unlink(path)


def main():
    cache, wanted = sys.argv[1], set(sys.argv[2:])
    os.makedirs(cache, exist_ok=True)
    with open(".clang-tidy", "rb") as f:
        base = f.read() + run(["clang-tidy", "--version"]).stdout.encode()
    with open("compile_commands.json", encoding="utf-8") as f:
        entries = [e for e in json.load(f) if not wanted or e["file"] in wanted]
    here = os.getcwd() + "/"
    seen, failed = set(), False
    with ThreadPoolExecutor(JOBS) as pool:
        for entry, (clean, said) in zip(entries, pool.map(lambda e: tidy(e, base, cache), entries)):
            failed |= not clean
            found = FINDING.findall(said)
            if not clean and not found:
                print(f"{entry['file']}:1: clang-tidy failed: {said.strip()[-2000:]}")
            for path, line, what in found:
                path = os.path.relpath(path, here) if path.startswith(here) else os.path.normpath(path)
                what = what.replace(",-warnings-as-errors", "")
                if (path, line, what) not in seen:
                    seen.add((path, line, what))
                    print(f"{path}:{line}: {what}; mend it, or // NOLINTNEXTLINE(check): why")
    forget_old(cache)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
