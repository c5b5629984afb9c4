"""Types at a shell with job control, at a terminal of its own: stop, go on, interrupt, background.

Usage: job_control.py TROTH SOCKET FOLDER
"""

import os
import pty
import select
import sys
import time

TROTH, SOCKET, FOLDER = sys.argv[1:]
PATIENCE = 40.0
SCRIPT = (
    "trap 'echo int >> $OUT/signals; exit 42' INT; echo $$ > $OUT/pid; i=0; "
    "while :; do i=$((i+1)); echo $i > $OUT/tick.new; mv $OUT/tick.new $OUT/tick; sleep 0.05; done"
)
JOB = f"{TROTH} run --socket {SOCKET} -- /bin/sh -c \"$SCRIPT\""
said = b""


def hear(terminal, seconds):
    """Takes what the terminal shows: a shell that nobody reads stands still."""
    global said
    if select.select([terminal], [], [], seconds)[0]:
        try:
            said += os.read(terminal, 4096)
        except OSError:
            pass


def until(terminal, what, ready):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        hear(terminal, 0.02)
        value = ready()
        if value:
            return value
    sys.exit(f"waited for {what}\n{said[-4096:].decode(errors='replace')}")


def read(name):
    try:
        with open(os.path.join(FOLDER, name)) as file:
            return file.read().strip()
    except OSError:
        return ""


def forget(*names):
    for name in names:
        try:
            os.remove(os.path.join(FOLDER, name))
        except OSError:
            pass


def state(pid):
    """The state of a process, its parent, and the foreground group of its terminal (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), int(fields[2]), int(fields[5])


def ticks(terminal):
    before = read("tick")
    until(terminal, "a program that goes on", lambda: read("tick") not in ("", before))


def main():
    shell, terminal = pty.fork()
    if shell == 0:
        os.environ.update(OUT=FOLDER, TMPDIR=FOLDER, SCRIPT=SCRIPT, PS1="", ENV="")
        os.environ.pop("XDG_RUNTIME_DIR", None)
        os.execv("/bin/sh", ["sh", "-i"])

    def type_line(line):
        os.write(terminal, line.encode() + b"\n")

    def is_stopped(pid):
        facts = state(pid)
        return facts and facts[0] == "T"

    def is_foreground(pid):
        facts = state(pid)
        return facts and facts[0] in "RS" and facts[2] == facts[3]

    # In the foreground: the program has the terminal.
    type_line(JOB + "; echo $? > $OUT/code")
    program = int(until(terminal, "the program", lambda: read("pid")))
    supervisor = state(program)[1]
    until(terminal, "the terminal of the program", lambda: is_foreground(program))
    # Ctrl-C reaches the program alone, whose code is the job's.
    os.write(terminal, b"\x03")
    until(terminal, "the code after Ctrl-C", lambda: read("code"))
    assert (read("code"), read("signals")) == ("42", "int"), (read("code"), read("signals"))
    forget("pid", "code", "signals", "tick")

    # Ctrl-Z stops the program and the job, and the shell is back.
    type_line(JOB)
    program = int(until(terminal, "the program", lambda: read("pid")))
    supervisor = state(program)[1]
    until(terminal, "the terminal of the program", lambda: is_foreground(program))
    ticks(terminal)
    os.write(terminal, b"\x1a")
    until(terminal, "a program and a job that are stopped", lambda: is_stopped(program) and is_stopped(supervisor))
    type_line("echo back > $OUT/shell")
    until(terminal, "the shell", lambda: read("shell"))
    assert is_stopped(program) and is_stopped(supervisor)
    # fg lets both go on, the program in the foreground.
    type_line("fg")
    until(terminal, "the terminal of the program after fg", lambda: is_foreground(program))
    ticks(terminal)
    # Again, then on in the background: the shell keeps the terminal.
    os.write(terminal, b"\x1a")
    until(terminal, "a job that is stopped again", lambda: is_stopped(program) and is_stopped(supervisor))
    type_line("bg")
    ticks(terminal)
    assert state(supervisor)[0] in "RS" and state(program)[2] != state(program)[3], (state(supervisor), state(program))
    type_line("fg; echo $? > $OUT/code")
    until(terminal, "the terminal of the program after bg and fg", lambda: is_foreground(program))
    os.write(terminal, b"\x03")
    until(terminal, "the code after bg, fg and Ctrl-C", lambda: read("code"))
    assert read("code") == "42", read("code")
    forget("pid", "code", "tick")

    # Begun in the background: it runs, and leaves the terminal to the shell; TERM ends it.
    type_line(JOB + " & echo $! > $OUT/job")
    program = int(until(terminal, "the program in the background", lambda: read("pid")))
    ticks(terminal)
    facts = state(program)
    assert facts[2] != facts[3], facts
    type_line("echo still > $OUT/still")
    until(terminal, "the shell with a job in the background", lambda: read("still"))
    type_line("kill $(cat $OUT/job); wait $(cat $OUT/job); echo $? > $OUT/code")
    until(terminal, "the code of the job in the background", lambda: read("code"))
    assert read("code") == "143", read("code")
    type_line("exit")
    until(terminal, "the end of the shell", lambda: os.waitpid(shell, os.WNOHANG)[0])
    left = [name for name in os.listdir(FOLDER) if name.startswith("troth-run-")]
    assert not left, left


main()
