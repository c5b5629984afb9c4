"""Runs a program under the system-call filter of systemd units.

usage: system_calls.py UNIT... -- PROGRAM [ARGUMENT...]

The lines SystemCallFilter= of the units are taken in their order, as systemd.exec(5) says: the first makes a list of what is allowed, later ones add to it or,
with ~, take from it. Groups are those that systemd-analyze names. RestrictSUIDSGID= hides openat2, as systemd's does. What is not allowed fails with EPERM.
"""

import errno
import os
import re
import subprocess
import sys

try:
    import seccomp
except ImportError:
    sys.exit("the filters of units need seccomp for Python: apt-get install python3-seccomp")


def groups():
    """The system calls of each group, those of the groups in it included."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], check=True, capture_output=True, text=True).stdout
    # The groups that have a heading of their own; behind them is a list of calls that are in none.
    direct, group = {}, None
    for line in listed.splitlines():
        words = line.split("#")[0].split()
        if re.match(r"@\S+$", line):
            group = direct.setdefault(words[0], [])
        elif words and group is not None and line.startswith(" "):
            group.append(words[0])

    def calls(name):
        return {call for word in direct[name] for call in (calls(word) if word.startswith("@") else [word])}

    return {name: calls(name) for name in direct}


def allowed(units):
    """What the units allow."""
    known, calls = groups(), set()
    every = set().union(*known.values())
    for unit in units:
        for line in open(unit, encoding="utf-8"):
            if line.startswith("SystemCallFilter="):
                words = line.strip().partition("=")[2]
                takes = words.startswith("~")
                for word in words.removeprefix("~").split():
                    assert word in known or word in every, f"{word} is in no group that systemd-analyze names: misspelt?"
                    named = known[word] if word.startswith("@") else {word}
                    calls = calls - named if takes else calls | named
    return calls


def confine(units):
    text = "".join(open(unit, encoding="utf-8").read() for unit in units)
    assert "SystemCallErrorNumber=EPERM" in text, "the units answer in another way"
    calls = allowed(units)
    assert {"execve", "read"} <= calls and "mount" not in calls, "the groups were not understood"
    filtered = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for call in sorted(calls):
        if call == "openat2" and "RestrictSUIDSGID=yes" in text:
            continue
        try:
            filtered.add_rule(seccomp.ALLOW, call)
        except RuntimeError:
            pass  # A call of another architecture.
    if "RestrictSUIDSGID=yes" in text:
        filtered.add_rule(seccomp.ERRNO(errno.ENOSYS), "openat2")
    filtered.load()


def main():
    at = sys.argv.index("--")
    confine(sys.argv[1:at])
    os.execv(sys.argv[at + 1], sys.argv[at + 1 :])


main()
