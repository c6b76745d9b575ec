"""Every command that a page shows: all of them are parsed by what they call, and those that can run here do."""

import re
import subprocess
import sys
import tomllib

import click
import page_commands
import pytest
from page_commands import PAGES, ROOT, blocks, framework_arguments, shown, shown_files, text, write_files

import framework
from framework import pipeline
from framework.commands import cli
from framework.commands._component import options_of
from framework.errors import PipelineError

#: Programs whose commands are not run in tests, and why; what they call of the framework is parsed all the same.
NOT_RUN = {
    "accelerate": "starts several processes: tests/runtime/test_several_learners.py",
    "docker": "needs Docker",
    "export": "for another program's start",
    "kubectl": "needs a cluster: tests/plugins/framework_kubernetes has a stub of one",
    "make": "sets up .venv: .ci/run begins with it",
    "mlflow": "serves until it is stopped",
    "pip": "installs into the environment of the tests: tests/test_wheels.py does it in one of its own",
    "ray": "needs a cluster: tests/plugins/framework_ray starts one",
    "sbatch": "needs a cluster: tests/plugins/framework_slurm has a stub of one",
    "scp": "needs another machine",
    "source": "for the shell that is typed in",
    "ssh": "needs another machine: tests/plugins/framework_ssh has a server",
    "tensorboard": "serves until it is stopped",
    "torchrun": "starts several processes: tests/runtime/test_several_learners.py",
    "trackio": "serves until it is stopped",
    "umask": "for the shell that is typed in",
    "wandb": "needs an account: tests/plugins/framework_wandb reads its files",
}
#: The same for what is given to the framework or to Python, by a pattern of the line.
NOT_RUN_LINES = {
    r"^framework (launch|join|sampler)|--listen|doctor --join": "needs a run that listens: tests/runtime has those",
    r"^framework check --component my_": "needs the package: tests/test_scaffolds.py installs it",
    r"^framework new launcher": "tests/test_scaffolds.py",
    r"-m pdb": "reads from the terminal",
    r"^python benchmarks/": "takes minutes to hours; its arguments are parsed",
    r'use = "wandb", project|mlflow\.example': "needs a server: tests of the trackers have their local backends",
    r"somewhere\.installed:expert": "stands for a name of the reader's",
    r"acme/queue|my_queue/queue": "stands for a name of the reader's",
}
#: Pipeline files that pages take for granted, and what stands in for them.
STAND_INS = {"mine.toml": "cartpole.toml", "p.toml": "cartpole.toml", "PIPELINE": "cartpole.toml"}
#: What stands for words that the reader fills in.
WORDS = {
    "KIND": "bonus",
    "NAME": "rnd",
    "LAUNCHER": "slurm",
    "RUN": "runs/cartpole-1",
    "RUN...": "runs/cartpole-1",
    "$RUN": "runs/pong-1",
    "FOLDER": ".",
    "FILE": "file",
    "N": "64",
    "K": "8",
}


def example(path, page):
    """What lies behind the name of a pipeline file or a run: the text of the page's own file, or of an example's."""
    name = path.removeprefix("examples/").rpartition("/")[2]
    if name in (files := shown_files(page)):
        return files[name]
    name = STAND_INS.get(name, name)
    if (ROOT / "examples" / name).is_file():
        return text(f"examples/{name}")
    whole = (block for block in blocks(page, "toml") if {"run", "environment"} <= set(tomllib.loads(block)))
    return next(whole, text("examples/cartpole.toml"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with the examples, also as one would copy them; prepared for the files of a page."""
    (tmp_path / "examples").mkdir()
    (tmp_path / "runs").mkdir()
    for path in (ROOT / "examples").iterdir():
        if path.is_file():
            (tmp_path / "examples" / path.name).write_bytes(path.read_bytes())
            (tmp_path / path.name).write_bytes(path.read_bytes())
    for name, copied in STAND_INS.items():
        (tmp_path / name).write_text(text(f"examples/{copied}"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path


def write(page, folder):
    """Write the files of a page, and those pipeline files that its commands name."""
    write_files(page, folder)
    for command in shown(page):
        for word in command.words:
            if word.endswith(".toml") and "/" not in word and not (folder / word).exists():
                (folder / word).write_text(example(word, page), encoding="utf-8")


# --- parsed ------------------------------------------------------------------------------------------------------


def parse(arguments, whole):
    """Parse a command line strictly, without running it; returns the command and its values."""
    arguments = [re.sub(r"=\$\w+$", "=1", WORDS.get(word, word)) for word in arguments if word != "…"]
    if not whole:  # in a line of text an option may stand for itself, without its argument
        arguments = arguments if arguments[-1:] != ["--resume"] else arguments[:-1]
    while arguments and arguments[0].startswith("-"):
        assert arguments[0] in {"--no-plugin", "--version", "--help", "-h"}
        arguments = arguments[2 if arguments[0] == "--no-plugin" else 1 :]
    if not arguments or "/" in arguments[0]:  # a command of a plugin that the page writes
        return None, {}
    name, *words = arguments
    root = click.Context(cli, info_name="framework", **cli.context_settings)
    command = cli.get_command(root, name)
    assert command is not None, f"there is no command {name}"
    for word in words:
        if word.startswith("runs/") or word in ("/shared/runs", "runs", "."):
            (page_commands.Path.cwd() / word.lstrip("/")).mkdir(parents=True, exist_ok=True)
    try:
        return name, command.make_context(name, words, parent=root).params
    except (click.MissingParameter, click.BadOptionUsage):
        if whole:
            raise
        return name, {}


def overridden(name, values, page, folder):
    """Load the pipeline that a command names, with its overrides; raises PipelineError where one is wrong."""
    if name == "launch":
        launcher, _, *options = [*values["names"], "", ""]
        if launcher and "/" not in launcher and not launcher.isupper():
            options = {f"runtime.launcher.{key}": value for key, value in options_of(filter(None, options)).items()}
            overrides = {"runtime.launcher.use": launcher, "runtime.listen": "0.0.0.0:5555", **options}
            pipeline.load(folder / "examples/cartpole.toml", overrides)
        return
    words = [str(value) for key in ("resume", "pipeline") if (value := values.get(key)) is not None]
    words += [word for value in values.values() if isinstance(value, tuple) for word in value if word != "…"]
    if name in ("run", "check", "eval") and words and not values.get("component"):
        paths = [word for word in words if "=" not in word and not word.startswith("~")]
        path = re.sub(r"^runs/([a-z]+)-.*", r"\1.toml", (paths or ["PIPELINE"])[0])
        file = folder / path
        if not file.is_file():
            file = folder / "shown.toml"
            file.write_text(example(path, page), encoding="utf-8")
        to_be_written = re.compile(r'runtime\.launcher=\{use = "my_')  # the launcher that the page tells how to write
        pipeline.load(file, [word for word in words if word not in paths and not to_be_written.match(word)])


def wrong(page, command, folder):
    """What is wrong with a command of the framework; None where nothing is."""
    try:
        overridden(*parse(framework_arguments(command.words), command.whole), page, folder)
    except (click.ClickException, PipelineError) as error:
        return str(getattr(error, "message", error))
    return None


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(page, folder, monkeypatch):
    """Commands of the framework are ones, with their options; overrides are options of the pipeline that is named."""
    write(page, folder)
    monkeypatch.syspath_prepend(folder)
    commands = [command for command in shown(page) if framework_arguments(command.words) is not None]
    reasons = {command.line: wrong(page, command, folder) for command in commands}
    assert {line: reason for line, reason in reasons.items() if reason} == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("framework run cartpole.toml --lisen 5555", "No such option"),
        ("framework run cartpole.toml algorithm.learning_rat=1", "learning_rate"),
        ("framework eval runs/cartpole-1 environment.idd='\"x\"'", "environment.idd"),
        ("torchrun -m framework run cartpole.toml algorithm.slices=0", "algorithm.slices"),
        ("framework launch slurm runs/cartpole-1 --samplers 8 partitio='\"short\"'", "partition"),
        ("framework launch --samplers many ssh runs/cartpole-1", "many"),
        ("for s in 1 2; do framework check cartpole.toml run.sed=$s; done", "run.sed"),
    ],
)
def test_mistakes_in_commands_are_seen(line, reason, folder):
    """Wrong options, keys and values of a command fail on a page."""
    commands = [page_commands.Shown(line, tuple(words), True) for words in page_commands.simple_commands(line)]
    reasons = [wrong("README.md", command, folder) for command in commands if framework_arguments(command.words)]
    assert reason in reasons[0]


@pytest.mark.parametrize("page", PAGES)
def test_other_programs_parse(page):
    """Targets of make, extras of pip, and options of this repository's scripts are there; other programs are known."""
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    targets = re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE)
    for line, words, _ in shown(page):
        program, *arguments = words
        if program == "make":
            assert arguments[0] in targets, line
        for extra in re.findall(r"(?:framework-rl|\.)\[(\w+)\]", line) if program == "pip" else ():
            assert extra in extras, line
        if program == "python" and arguments[0].endswith(".py") and arguments[0] not in shown_files(page):
            measured = [path.relative_to(ROOT).as_posix() for path in (ROOT / "benchmarks/measure").glob("*.py")]
            source = "".join(map(text, [arguments[0], *measured]))
            assert [word for word in arguments if word.startswith("--") and f'"{word}"' not in source] == [], line
        programs = {*NOT_RUN, "framework", "python", "for", "done", "$"}
        assert program in programs or re.match(r"\w+=", program), line


# --- run ---------------------------------------------------------------------------------------------------------

LINES = {page: lines for page in PAGES if (lines := page_commands.lines(page))}


def reason_not_to_run(line):
    """Why a line is not run here; None where it is."""
    for pattern, reason in NOT_RUN_LINES.items():
        if re.search(pattern, line):
            return reason
    programs = [words[0] for words in page_commands.simple_commands(line)]
    return next((NOT_RUN[program] for program in programs if program in NOT_RUN), None)


def test_reasons_are_needed():
    """Every reason not to run a command is that of some command on a page."""
    lines = [line for page in LINES.values() for line in page]
    programs = {command.words[0] for page in PAGES for command in shown(page)}
    assert set(NOT_RUN) - programs - {"tensorboard", "ssh"} == set()
    assert [pattern for pattern in NOT_RUN_LINES if not any(re.search(pattern, line) for line in lines)] == []


PROGRAM = """#!{python}
import sys
sys.path[:0] = [{support!r}, {folder!r}]
from pathlib import Path
from page_commands import cut_down, small
cut_down(Path({folder!r}))
from framework.__main__ import main
sys.exit(main(small(sys.argv[1:])))
"""


def with_runs(code, folder, page):
    """Code with runs that are there in place of those that it names: the newest of a name, or one made for it."""

    def make(name, seed):
        file = folder / f"{name}.toml"
        if not file.exists():
            file.write_text(example(file.name, page), encoding="utf-8")
            page_commands.cut_down(folder)
        for _ in framework.train(framework.load(file, {"run.seed": seed, "run.name": name}), root=folder / "runs"):
            pass

    def runs(name):
        return sorted((folder / "runs").glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)

    def newest(match):
        name, seed = match[1], match[2]
        if seed is not None or not runs(name):
            make(name, int(seed or 0))
        return runs(name)[-1].relative_to(folder).as_posix()

    for name in re.findall(r"runs/([a-z]+)-\*|\"runs\"| runs(?: |$)", code):  # all of a name, or all that there are
        if not runs(name or "*"):
            for seed in (1, 2):
                make(name or "cartpole", seed)
    return re.sub(r"runs/([a-z]+)-(?:seed(\d+)|[\d…-]+)", newest, code)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page, lines in LINES.items() if not all(map(reason_not_to_run, lines))])
def test_commands_run(page, folder, monkeypatch):
    """Each line of a page's blocks of shell, in their order, in one folder with the page's files; runs are cut down."""
    write(page, folder)
    for name in re.findall(r"^framework (?:examples|new pipeline) ([a-z-]+)", "\n".join(LINES[page]), re.MULTILINE):
        (folder / f"{name}.toml").unlink(missing_ok=True)  # the command makes it
    page_commands.cut_down(folder)
    program = folder / "bin/framework"
    program.parent.mkdir()
    support = str(ROOT / "tests/support")
    program.write_text(PROGRAM.format(python=sys.executable, support=support, folder=str(folder)))
    python = program.with_name("python")
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for path in (program, python):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    for line in filter(lambda line: reason_not_to_run(line) is None, LINES[page]):
        here = with_runs(line, folder, page)
        process = subprocess.run(
            ["bash", "-ec", here], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        assert process.returncode == 0, f"{line}\n{process.stdout}\n{process.stderr}"


#: Blocks of Python that are no files, by page, and why they are not run here; all others are.
NOT_RUN_BLOCKS = {
    "docs/how-to/add-an-environment.md": "two methods of a class",
    "docs/how-to/debug.md": "needs a run that NaN has stopped: tests/runtime/learn/test_checks.py",
    "docs/how-to/export-a-policy.md": "needs an exported policy: tests of the export have one",
    "docs/how-to/make-and-prove-a-component.md": "needs the package: tests/test_scaffolds.py installs it",
    "docs/how-to/write-a-launcher.md": "needs the package: tests/test_scaffolds.py installs it",
}


def python_blocks(page):
    """The blocks of Python on a page that are neither files nor signatures."""
    if page.startswith("docs/reference/"):
        return []
    return [block for block in blocks(page, "python") if not re.match(r"# [\w./-]+\.py\n", block)]


def test_reasons_for_blocks_are_needed():
    """Every page whose blocks are not run has one."""
    assert [page for page in NOT_RUN_BLOCKS if not python_blocks(page)] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page) and page not in NOT_RUN_BLOCKS])
def test_python_blocks_run(page, folder):
    """Blocks of Python run one after the other, in a folder with the page's files; runs are cut down."""
    write(page, folder)
    page_commands.cut_down(folder)
    for block in python_blocks(page):
        here = with_runs(block, folder, page)
        (folder / "block.py").write_text(here, encoding="utf-8")
        process = subprocess.run([sys.executable, "block.py"], capture_output=True, text=True, check=False)
        assert process.returncode == 0, f"{block}\n{process.stdout}\n{process.stderr}"
