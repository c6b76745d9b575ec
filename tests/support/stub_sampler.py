"""Stands for the command ``framework`` on a machine that a launcher reaches: a sampler that does nothing, at once."""

from __future__ import annotations

from pathlib import Path

import psutil
from processes import alive, wait_for

#: Takes its token as `framework sampler` does, notes what it was given, and goes on until SIGTERM, or ends at once with
#: the code in a file ``NAME.exits``; its name is the word after ``--name``.
_PROGRAM = """#!/bin/sh
read -r token
for word; do [ "$before" = --name ] && name=$word; before=$word; done
cd_to=$PWD
env > "$STUB/$name.env"
echo "$cd_to" > "$STUB/$name.folder"
echo "$*" > "$STUB/$name.arguments"
echo "$token" > "$STUB/$name.token"
[ -e "$STUB/$name.exits" ] && exit "$(cat "$STUB/$name.exits")"
if [ -e "$STUB/deaf" ]; then trap "" TERM; else trap 'echo > "$STUB/$name.ended"; exit 75' TERM; fi
[ -e "$STUB/leaves" ] && { sleep 60 & echo $! > "$STUB/left"; }
echo $$ > "$STUB/$name.new"
mv "$STUB/$name.new" "$STUB/$name.process"
while :; do sleep 0.05; done
"""


class Stub:
    """What the samplers of a folder have noted; its folder ``bin`` has the command."""

    def __init__(self, folder: Path):
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir(parents=True)
        command = self.bin / "framework"
        command.write_text(_PROGRAM)
        command.chmod(0o755)
        self.seen: set[psutil.Process] = set()

    def noted(self, name: str, what: str) -> str:
        """The ``token``, ``arguments``, ``folder`` or ``env`` of a sampler, once it is there."""
        self.process(name)
        return (self.folder / f"{name}.{what}").read_text().strip()

    def process(self, name: str) -> psutil.Process:
        """The process of a sampler, once it is there."""
        file = self.folder / f"{name}.process"
        process = psutil.Process(int(wait_for(lambda: file.exists() and file.read_text())))
        self.seen.add(process)
        return process

    def forget(self, name: str) -> None:
        """Wait for another of this name from now on."""
        (self.folder / f"{name}.process").unlink()

    @property
    def left(self) -> list[psutil.Process]:
        """Processes that were asked for and are still there."""
        return [process for process in self.seen if alive(process)]
