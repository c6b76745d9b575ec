"""What a machine is told to do: a program for POSIX shells, in one argument that the login shells agree on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

#: Seconds between signs of life on standard output, and that a sampler has to end after SIGTERM.
ALIVE, GRACE = 15, 10

# It is one line, without quotes of its own, and with a blank after each exclamation mark: csh and fish take it too.
#
# The token is read last, when no lines of others are run any more, into a variable that is not exported, and it goes
# through a pipe from `echo`, which every shell has built in: it is never an argument and in no environment.
#
# sshd does not end a program when its connection does. But it ends the program's standard input, for which `watch` waits.
# And where the other side vanished without a word, sshd itself learns of it only when it has something to send: so `alive`
# says something, which nobody reads. Neither keeps standard output or standard error open once the sampler has ended, as
# ssh waits for the end of both.
_PROGRAM = (
    "exec 3<&0 4>&1 0</dev/null 1>&2; "
    "{before}"
    "set +aefuvx; unset token; read -r token <&3 || exit 1; "
    'echo "$token" | exec {command} 3<&- 4>&- & '
    "sampler=$! ; unset token; "
    "( {wakeable}; while echo >&4; do sleep {alive} 4>&- & nap=$! ; wait $nap; done "
    ") 3<&- >/dev/null 2>&1 & alive=$! ; "
    "( while read -r line; do :; done; {wakeable}; kill $sampler $alive; "
    "sleep {grace} & nap=$! ; wait $nap; kill -9 $sampler "
    ") <&3 3<&- 4>&- >/dev/null 2>&1 & watch=$! ; "
    'trap "kill $sampler" HUP INT TERM; '
    "wait $sampler; code=$?; "
    "while kill -0 $sampler 2>/dev/null; do wait $sampler; code=$?; done; "
    "kill $watch $alive 2>/dev/null; exit $code"
)


def program(sampler: Sequence[str], directory: str | None, setup: Sequence[str]) -> str:
    """Starts a sampler with the token that is the first line of standard input, and ends it when that ends.

    Its exit code is the sampler's. What it prints is on standard error; standard output is not to be read.

    Args:
        sampler: the command of the sampler, which reads a token from standard input.
        directory: where the rest happens; the login shell's by default.
        setup: lines of shell that come before.
    """
    command = [*sampler]
    before = []
    if directory is not None:
        # The login shell has started in the home folder, whatever that is called.
        folder = (directory[1:].lstrip("/") or ".") if directory.startswith("~") else directory
        before.append(f"cd -- {shlex.quote(folder)}")
        command += ["--directory", "."]
    before += [f"eval {shlex.quote(line)}" for line in setup]
    text = _PROGRAM.format(
        before="".join(f"{line} || exit 1; " for line in before),
        command=shlex.join(command),
        wakeable='trap "kill \\$nap; exit" TERM',
        grace=GRACE,
        alive=ALIVE,
    )
    return f"exec sh -c {shlex.quote(text)}"
