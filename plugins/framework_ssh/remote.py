"""What a machine is told to do: a program for POSIX shells, in one argument that the login shells agree on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

#: Seconds between signs of life on standard output, and that a sampler has to end after SIGTERM.
ALIVE, GRACE = 15, 10

# It is one line, without single quotes, and with a blank after each exclamation mark: csh and fish take it too.
#
# The token is read last, when no lines of others are run any more, into a variable that is not exported, and it goes
# through a pipe from `echo`, which every shell has built in: it is never an argument and in no environment.
#
# sshd does not end a program when its connection does. But it ends the program's standard input, and `watch` waits for
# that. And where the other side vanished without a word, sshd itself learns of it only when it has something to send:
# so `alive` says something, which nobody reads.
#
# ssh waits for the end of standard output and standard error. What environments leave behind may have standard error
# for ever, so they have a pipe instead, which `words` empties until the end.
_PROGRAM = (
    'nap() {{ trap "kill -9 \\$! ; exit" TERM; sleep $1 & wait $! ; }}; '
    "exec 3<&0 4>&1 5>&2 0</dev/null; watch=; alive=; "
    'pipe=$(mktemp -d) && mkfifo "$pipe/words" || exit 1; '
    'cat <"$pipe/words" >&5 3<&- 4>&- 5>&- & words=$! ; '
    'exec >"$pipe/words" 2>&1 5>&-; rm -r "$pipe"; '
    "finish() {{ trap - HUP INT TERM; exec >/dev/null 2>&1; kill $watch $alive; "
    "( nap 1; kill $words ) 3<&- 4>&- & last=$! ; wait $words; kill $last; exit $1; }}; "
    "{before}"
    "set +aefuvx; unset token; read -r token <&3 || finish 1; "
    'echo "$token" | exec {command} 3<&- 4>&- & '
    "sampler=$! ; unset token; "
    "( while echo >&4; do nap {alive} 4>&-; done ) 3<&- >/dev/null 2>&1 & alive=$! ; "
    "( while read -r line; do :; done; kill $sampler $alive; nap {grace}; kill -9 $sampler; nap 2; kill $words "
    ") <&3 3<&- 4>&- >/dev/null 2>&1 & watch=$! ; "
    'trap "kill $sampler" HUP INT TERM; '
    "wait $sampler; code=$?; "
    "while kill -0 $sampler 2>/dev/null; do wait $sampler; code=$?; done; "
    "finish $code"
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
    before += [f"eval {shlex.quote(line)} 3<&- 4>&-" for line in setup]
    text = _PROGRAM.format(
        before="".join(f"{line} || finish 1; " for line in before),
        command=shlex.join(command),
        grace=GRACE,
        alive=ALIVE,
    )
    return f"exec sh -c {shlex.quote(text)}"
