"""Completion in bash and zsh: as click has it, but that no space follows a key, as its value does."""

from __future__ import annotations

from click.shell_completion import BashComplete, ZshComplete, add_completion_class


class Bash(BashComplete):
    """As click's, but that no space follows a key, as its value does."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *= ]] && compopt -o nospace"
    )


class Zsh(ZshComplete):
    """As click's, but that no space follows a key."""

    source_template = ZshComplete.source_template.replace(
        "compadd -U -V unsorted -a completions",
        """if [[ $completions[1] == *= ]]; then
            compadd -U -S '' -V unsorted -a completions
        else
            compadd -U -V unsorted -a completions
        fi""",
    )


def prepare() -> None:
    """Have shells leave keys open for their values; fish does so by itself."""
    add_completion_class(Bash)
    add_completion_class(Zsh)
