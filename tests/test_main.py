import os
import re
import subprocess
import sys

import click
import pytest

from framework import __version__, commands
from framework.__main__ import main
from framework.commands import cli

COMMAND = '''"""Do something."""
import click
from framework.errors import *

@click.command()
def command():
    {body}
'''


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Put a command with the given body in place of all others, and run it."""
    monkeypatch.setattr(commands, "__path__", [str(tmp_path)])

    def run(body):
        (tmp_path / "act.py").write_text(COMMAND.format(body=body))
        monkeypatch.delitem(sys.modules, "framework.commands.act", raising=False)
        return main(["act"])

    yield run
    sys.modules.pop("framework.commands.act", None)


def framework(*arguments, cwd=None, **environment):
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "framework", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "code", "stderr"),
    [
        ("pass", 0, ""),
        ("return 1", 1, ""),
        ("raise RunError('it stopped')", 1, "it stopped\n"),
        ("raise PipelineError([Problem('bad', 'run.seed', 'p.toml', 3)])", 2, "p.toml:3: run.seed: bad\n"),
        ("raise PluginError('acme is broken')", 4, "acme is broken\n"),
        ("raise KeyboardInterrupt", 130, ""),
        ("raise click.Abort", 130, ""),
        ("return 75", 75, ""),
        ("click.get_current_context().exit(7)", 7, ""),
    ],
)
def test_exit_codes(command, capsys, body, code, stderr):
    """What a command returns or raises decides the exit code; messages stand alone on standard error."""
    assert (command(body), capsys.readouterr().err) == (code, stderr)


@pytest.mark.parametrize(
    "error", ["ZeroDivisionError", "EOFError", "BrokenPipeError", "SystemExit", "GeneratorExit", "BaseException"]
)
def test_an_internal_error_shows_its_traceback(command, capsys, error):
    """Whatever is not meant for the user ends with 3 and its traceback, also where click would hide it."""
    assert command(f"raise {error}('what happened')") == 3
    stderr = capsys.readouterr().err
    assert f"{error}: what happened" in stderr
    assert "Traceback (most recent call last)" in stderr
    assert "act.py" in stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            "OSError(24, 'Too many open files')",
            1,
            "The machine ran out of something, or a limit on this process was reached: Too many open files.",
        ),
        ("MemoryError()", 1, "The machine ran out of something, or a limit on this process was reached: memory."),
        (
            "ImportError('libx.so: no such file', name='acme._c')",
            4,
            "acme._c cannot be imported: it is missing or broken, install it again.",
        ),
    ],
)
def test_what_the_machine_lacks_is_no_error_of_ours(command, capsys, error, code, message):
    """A limit that was reached, or a package that is broken, is told as one, below the traceback."""
    assert command(f"raise {error}") == code
    stderr = capsys.readouterr().err
    assert "Traceback (most recent call last)" in stderr
    assert stderr.endswith(f"{message}\n")
    assert "error in the framework" not in stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("PermissionError(13, 'Permission denied', '/x/y')", "/x/y: Permission denied\n"),
        ("OSError(28, 'No space left on device', '/x/y')", "/x/y: No space left on device\n"),
    ],
)
def test_an_error_of_the_disk_is_one_line(command, capsys, error, message):
    """What cannot be read or written is the user's to mend: no traceback, and exit code 1."""
    assert command(f"raise {error}") == 1
    assert capsys.readouterr().err == message


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_under_standard_output_is_one_line():
    """Python, too, has nothing to add when it ends."""
    with open("/dev/full", "w") as output:
        process = subprocess.run(
            [sys.executable, "-m", "framework", "plugins"], stdout=output, stderr=subprocess.PIPE, check=False
        )
    assert (process.returncode, process.stderr) == (1, b"standard output: No space left on device\n")


@pytest.mark.parametrize("arguments", [("plugins", "--json"), ("--help",), ("schema",)])
def test_closed_standard_output_is_one_line(arguments):
    """What was asked for cannot be told, so it is not done."""
    process = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "framework", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (1, "standard output: it is closed\n")


def test_closed_standard_streams_are_no_files_of_ours():
    """What is opened gets another number, and so nothing of what C libraries print."""
    source = (
        "import os; from framework.__main__ import _fill_standard_streams as fill; "
        "fill(); os._exit(os.open(os.devnull, os.O_RDONLY))"
    )
    process = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", source], check=False)
    assert process.returncode == 3


@pytest.mark.parametrize("arguments", [("plugins",), ("check", "p.toml")])
def test_a_working_directory_that_is_gone_is_one_line(tmp_path, arguments):
    """Also with ``python -m``, which looks there."""
    (tmp_path / "gone").mkdir()
    process = subprocess.run(
        ["sh", "-c", 'rmdir ../gone; exec "$@"', "sh", sys.executable, "-m", "framework", *arguments],
        cwd=tmp_path / "gone",
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert (process.stdout, process.stderr) == ("", "the working directory is gone: change to one that is there\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_file_that_cannot_be_written_is_named():
    """And not standard output instead."""
    process = framework("schema", "-o", "/dev/full")
    assert (process.returncode, process.stderr) == (1, "/dev/full: cannot be written: No space left on device\n")


def test_wrong_usage_exits_with_2(command, capsys):
    """A command line that cannot be read is a usage error, with a hint."""
    command("pass")
    assert main(["act", "--nonsense"]) == 2
    assert "No such option" in capsys.readouterr().err
    assert main(["atc"]) == 2
    assert "No such command 'atc'. Did you mean 'act'?" in capsys.readouterr().err
    assert main(["--nonsense"]) == 2
    assert main([]) == 2


def test_help_imports_no_command(tmp_path, monkeypatch, capsys):
    """Commands are listed by the first line of their files; private modules are not."""
    (tmp_path / "explosive.py").write_text('"""Blow up when imported."""\n1 / 0\n')
    (tmp_path / "_shared.py").write_text('"""Not a command."""\n')
    monkeypatch.setattr(commands, "__path__", [str(tmp_path)])
    assert main(["--help"]) == 0
    stdout = capsys.readouterr().out
    assert re.search(r"explosive +Blow up when imported\.", stdout)
    assert "shared" not in stdout
    assert main(["explosive"]) == 3


def test_every_command_describes_itself():
    """Each has a one-line summary for the list, help of its own, and help for each option."""
    context = click.Context(cli)
    names = cli.list_commands(context)
    assert {"check", "doctor", "plugins", "run", "schema"} <= set(names)
    plugins = {component.name: component.summary for component in commands._plugin_commands()}
    for name in names:
        summary = plugins.get(name) or commands._summary(name)
        assert re.fullmatch(r"[A-Z][^`]+\.", summary), f"{name}: {summary}"
        command = cli.get_command(context, name)
        assert command.help
        assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []


def test_version():
    """``--version`` tells the version, as a process of its own too."""
    process = framework("--version")
    assert (process.returncode, process.stdout, process.stderr) == (0, f"framework {__version__}\n", "")


def test_blocked_plugins_reach_child_processes(command, monkeypatch):
    """``--no-plugin`` adds to the environment, which samplers inherit."""
    monkeypatch.setenv("FRAMEWORK_PLUGINS_DISABLE", "one")
    command("pass")
    assert main(["--no-plugin", "two", "--no-plugin", "three", "act"]) == 0
    assert os.environ["FRAMEWORK_PLUGINS_DISABLE"] == "one,two,three"


def test_blocking_in_a_process():
    """A plugin that is blocked is listed so, by the option and by the environment."""
    for process in (framework("--no-plugin", "ppo", "plugins"), framework("plugins", FRAMEWORK_PLUGINS_DISABLE="ppo")):
        assert process.returncode == 0
        assert re.search(r"^ppo +framework-rl +\S+ +blocked$", process.stdout, re.MULTILINE)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_error(unbuffered):
    """``framework plugins | head -1`` shows no traceback, whether output is buffered or not."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "framework", "plugins"],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, b"")


def test_plugins_are_not_looked_for_in_the_working_directory(tmp_path):
    """A module there with a plugin's name is not imported, though ``python -m`` puts the folder on the path."""
    (tmp_path / "framework_ppo.py").write_text("raise RuntimeError('wrong one')")
    process = framework("plugins", cwd=tmp_path)
    assert process.returncode == 0
    assert "wrong one" not in process.stdout
    assert re.search(r"^ppo .* loaded$", process.stdout, re.MULTILINE)


def test_shell_completion():
    """click's completion works: the script for a shell, and the words that may follow."""
    assert "_FRAMEWORK_COMPLETE=bash_complete" in framework(_FRAMEWORK_COMPLETE="bash_source").stdout
    words = framework(_FRAMEWORK_COMPLETE="bash_complete", COMP_WORDS="framework pl", COMP_CWORD="1")
    assert words.stdout == "plain,plot\nplain,plugins\n"
