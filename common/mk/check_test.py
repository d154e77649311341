#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of check.py must be able to fail, on the right line, and must let good code pass."""
import os
import subprocess
import sys
import tempfile

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check.py")
HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"
LATER = "TO" + "DO"
PROFILE = "# SPDX-License-Identifier: Apache-2.0\nevents:\n  - event: ticket.join\n    join: \"ticket:{id}\"\n"

# check, path, text, line of the one finding (0: none)
CASES = [
    ("layers", "common/base/a.c", HEAD + '#include "common/svc/b.h"\n', 2),
    ("layers", "proto/a.c", HEAD + '#include "common/svc/b.h"\n', 2),
    ("layers", "common/svc/a.c", HEAD + '#include "services/x/c.h"\n', 2),
    ("layers", "services/y/a.c", HEAD + '#include "services/x/c.h"\n', 2),
    ("layers", "services/x/a.c", HEAD + '#include "services/x/c.h"\n#include "common/svc/b.h"\n', 0),
    ("layers", "common/svc/a.c", HEAD + '#include "b.h"\n', 2),
    ("layers", "common/svc/b.c", HEAD + '#include <stdio.h>\n#include "common/svc/b.h"\n', 2),
    ("layers", "common/svc/d.h", HEAD + '#include "common/svc/e.h"\n', 2),
    ("layers", "common/svc/a.c", HEAD + '/*\n#include "services/x/c.h"\n*/\n', 0),
    ("foreign", "services/x/a.c", HEAD + "#include <zmq.h>\n", 2),
    ("foreign", "common/adapt/adapt_zmq.c", HEAD + "#include <zmq.h>\n#include <uv.h>\n#include <sys/socket.h>\n", 0),
    ("foreign", "common/base/a.c", HEAD + "#include <ncurses.h>\n", 2),
    ("foreign", "common/base/a.c", HEAD + "#include <cmocka.h>\n", 2),
    ("calls", "services/x/a.c", HEAD + "\n\tsigaction(1, 0, 0);\n", 3),
    ("calls", "services/x/a.c", HEAD + "\n\tuv_run(loop, 0);\n", 3),
    ("calls", "services/roomwire/a.c", HEAD + "\n\tsigaction(1, 0, 0);\n\texit(1);\n", 0),
    ("calls", "services/x/a.c", HEAD + '\n\tx->exit(1); on_exit(1); /* exit(1) */ puts("exit(1)");\n', 0),
    ("budgets", "common/base/a.c", HEAD + "int f(void)\n{\n" + "\tg();\n" * 61 + "}\n", 3),
    ("budgets", "common/base/a.c", HEAD + "int f(void)\n{\n" + "\tg();\n" * 60 + "}\n", 0),
    ("budgets", "common/base/a.c", HEAD + "\n" * 600, 601),
    ("budgets", "common/base/a.h", HEAD + "\n" * 200, 201),
    ("budgets", "services/x/main.c", HEAD + "\n" * 150, 151),
    ("spdx", "common/base/a.c", "int a;\n", 1),
    ("words", "common/base/a.c", HEAD + "// " + LATER + "\n", 2),
    ("profiles", "services/x/a.c", HEAD + 'x("ticket.join");\n', 2),
    ("profiles", "services/x/a.c", HEAD + 'x("ticket:%s");\n', 2),
    ("profiles", "services/x/a.c", HEAD + "int opsdesk_start;\n", 2),
    ("profiles", "services/x/a.c", HEAD + '/* ticket.join */ x("ticket is closed");\n', 0),
]


def main():
    wrong = 0
    for name, path, text, want in CASES:
        with tempfile.TemporaryDirectory() as root:
            files = {path: text, "profiles/opsdesk.yaml": PROFILE}
            for other in ("common/svc/b.h", "services/x/c.h"):
                files.setdefault(other, HEAD)
            files.setdefault("common/svc/e.h", HEAD + '#include "common/svc/d.h"\n' if path.endswith("d.h") else HEAD)
            for where, what in files.items():
                os.makedirs(os.path.join(root, os.path.dirname(where)), exist_ok=True)
                with open(os.path.join(root, where), "w", encoding="utf-8") as f:
                    f.write(what)
            environment = {k: v for k, v in os.environ.items() if k != "ONLY"}
            made = subprocess.run([sys.executable, CHECK, name], cwd=root, env=environment, capture_output=True, text=True)
        got = [line for line in made.stdout.splitlines() if line.startswith(path + ":")]
        good = len(got) == 1 and got[0].startswith(f"{path}:{want}: ") if want else not got and made.returncode == 0
        if not good or made.stderr:
            wrong += 1
            print(f"common/mk/check_test.py:1: check.py {name} of {path}: got {got or made.stderr or 'nothing'}, "
                  f"want {'line ' + str(want) if want else 'nothing'} for {text[-60:]!r}; mend the rule")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
