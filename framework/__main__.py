"""Entry point of the command line: runs a command, and turns what it raises into a message and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

import click

from framework.errors import EXIT_DONE, EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_RUN_FAILED, FrameworkError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code; see `framework.errors`."""
    from framework.commands import cli

    atexit.register(gc.freeze)  # an interpreter that ends has nothing to collect, and takes long to look for it
    if "_FRAMEWORK_COMPLETE" in os.environ:
        cli.main(prog_name="framework")  # answers the shell and exits
    # Not click's own main: it takes every EOFError for Ctrl-D and every EPIPE for a closed terminal, and would hide
    # those that come from a sampler.
    try:
        with cli.make_context("framework", list(sys.argv[1:] if arguments is None else arguments)) as context:
            result = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as request:
        return request.exit_code
    except (click.ClickException, FrameworkError) as error:
        if isinstance(error, click.ClickException):
            error.show()
        else:
            click.echo(error, err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            return EXIT_RUN_FAILED
        import traceback

        traceback.print_exc()
        click.echo("This is an error in the framework or in a plugin, not in your pipeline file.", err=True)
        return EXIT_INTERNAL
    return result if isinstance(result, int) else EXIT_DONE


def _reader_is_gone() -> bool:
    """Whether it is standard output that cannot be written to, as in ``framework plugins | head -1``."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it exits
        return True
    return False


if __name__ == "__main__":
    # `python -m` puts the working directory first, where nothing is looked for unless a pipeline names it.
    if not sys.flags.safe_path and sys.path[0] == os.getcwd():
        del sys.path[0]
    sys.exit(main())
