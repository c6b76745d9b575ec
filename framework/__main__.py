"""Entry point of the command line: runs a command, and turns what it raises into a message and an exit code."""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import sys
from collections.abc import Sequence

from framework.errors import (
    EXIT_DONE,
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_PLUGIN,
    EXIT_RUN_FAILED,
    EnvironmentFailed,
    FrameworkError,
)
from framework.system import check_system

# Most of what a command makes at first is modules and classes, which stay: looking for garbage as often as Python does
# by default would be a twentieth of the time that short commands take.
gc.set_threshold(50_000, 10, 10)

#: What a machine can run out of.
_SHORTAGES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return its exit code; see `framework.errors`."""
    import click

    from framework.commands import cli

    _fill_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is no error
            stream.reconfigure(errors="backslashreplace")
    atexit.register(gc.freeze)  # an interpreter that ends has nothing to collect, and takes long to look for it
    if "_FRAMEWORK_COMPLETE" in os.environ:
        from framework.commands._shells import prepare

        prepare()
        cli.main(prog_name="framework")  # answers the shell and exits
    if _working_directory() is None:
        click.echo("the working directory is gone: change to one that is there", err=True)
        return EXIT_RUN_FAILED
    # Not click's own main: it takes every EOFError for Ctrl-D and every EPIPE for a closed terminal, and would hide
    # those that come from a sampler.
    try:
        check_system()
        with cli.make_context("framework", list(sys.argv[1:] if arguments is None else arguments)) as context:
            result = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as request:
        return request.exit_code
    except (click.ClickException, FrameworkError) as error:
        if isinstance(error, click.ClickException):
            error.show()
            if isinstance(error, click.NoSuchOption) and "." in error.option_name:
                click.echo(f"Options of a pipeline have no dashes: {error.option_name.lstrip('-')}=VALUE", err=True)
        else:
            if isinstance(error, EnvironmentFailed) and error.__cause__ is not None:
                from framework.plugins import traceback_of

                click.echo(traceback_of(error.__cause__), err=True)
            click.echo(error, err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BaseException as error:  # also SystemExit: it is not ours
        return _explain(error)
    return result if isinstance(result, int) else EXIT_DONE


def _explain(error: BaseException) -> int:
    """Tell of an error that no message was made for, and give the exit code."""
    import click

    if isinstance(error, OSError):
        failed = "standard output" if _fails_on_output(error) else error.filename
        if failed is not None:
            if not isinstance(error, BrokenPipeError):  # in `framework plugins | head -1` nobody wants to hear of it
                click.echo(f"{failed}: {error.strerror}", err=True)
            return EXIT_RUN_FAILED
    import traceback

    traceback.print_exception(error)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORTAGES):
        shortage = error.strerror if isinstance(error, OSError) else "memory"
        click.echo(f"The machine ran out of something, or a limit on this process was reached: {shortage}.", err=True)
        return EXIT_RUN_FAILED
    if isinstance(error, ImportError) and error.name and not error.name.startswith("framework"):
        click.echo(f"{error.name} cannot be imported: it is missing or broken, install it again.", err=True)
        return EXIT_PLUGIN
    from framework.catalog import owners

    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        owner = owners().get(frame.f_globals.get("__name__", "").partition(".")[0])
        if owner is not None:
            file = frame.f_code.co_filename
            place = f"{file}:{line}" if owner == file else f"{owner}, {file}:{line}"
            click.echo(f"This is an error in {place}, or in what it calls.", err=True)
            return EXIT_PLUGIN
    if owners():
        click.echo(
            f"This is an error in what {' or '.join(sorted(set(owners().values())))} returned, or in the framework;"
            " framework check --component tells which.",
            err=True,
        )
        return EXIT_PLUGIN
    click.echo("This is an error in the framework, not in your pipeline file.", err=True)
    return EXIT_INTERNAL


def _fails_on_output(error: OSError) -> bool:
    """Whether it is standard output that cannot be written to; what is still to be written then goes nowhere."""
    if error.filename is not None:
        return False
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as again:
        if isinstance(sys.stdout, io.TextIOWrapper):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it exits
        return again.errno == error.errno
    return False


class _Closed(io.TextIOBase):
    """Stands for standard output where the process was started without: else what is printed would vanish."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "it is closed")


def _fill_standard_streams() -> None:
    """Have 0, 1 and 2 open: else a file of ours would be one of them, and have what C libraries print in it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = _Closed()


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


if __name__ == "__main__":
    # `python -m` puts the working directory first, where nothing is looked for unless a pipeline names it.
    if not sys.flags.safe_path and sys.path[0] == _working_directory():
        del sys.path[0]
    sys.exit(main())
