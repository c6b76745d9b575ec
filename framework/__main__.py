"""Entry point of the command line: runs a command, and turns what it raises into a message and an exit code."""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import sys
from collections.abc import Sequence

import click

from framework.errors import EXIT_DONE, EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_RUN_FAILED, FrameworkError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code; see `framework.errors`."""
    from framework.commands import cli

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is no error
            stream.reconfigure(errors="backslashreplace")
    atexit.register(gc.freeze)  # an interpreter that ends has nothing to collect, and takes long to look for it
    if "_FRAMEWORK_COMPLETE" in os.environ:
        cli.main(prog_name="framework")  # answers the shell and exits
    # Not click's own main: it takes every EOFError for Ctrl-D and every EPIPE for a closed terminal, and would hide
    # those that come from a sampler.
    try:
        with cli.make_context("framework", list(sys.argv[1:] if arguments is None else arguments)) as context:
            result = cli.invoke(context)
        if sys.stdout is not None:
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
        return _explain(error)
    return result if isinstance(result, int) else EXIT_DONE


def _explain(error: Exception) -> int:
    """Tell of an error that no message was made for, and give the exit code."""
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        return EXIT_RUN_FAILED
    if isinstance(error, OSError) and (error.filename is not None or error.errno in (errno.EIO, errno.ENOSPC)):
        if error.filename is None:
            _forget_output()
        click.echo(f"{error.filename or 'standard output'}: {error.strerror}", err=True)
        return EXIT_RUN_FAILED
    import traceback

    traceback.print_exception(error)
    click.echo("This is an error in the framework or in a plugin, not in your pipeline file.", err=True)
    return EXIT_INTERNAL


def _reader_is_gone() -> bool:
    """Whether it is standard output that cannot be written to, as in ``framework plugins | head -1``."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return True
    return False


def _forget_output() -> None:
    """Let what is still to be written go nowhere: else Python complains when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    # `python -m` puts the working directory first, where nothing is looked for unless a pipeline names it.
    if not sys.flags.safe_path and sys.path[0] == os.getcwd():
        del sys.path[0]
    sys.exit(main())
