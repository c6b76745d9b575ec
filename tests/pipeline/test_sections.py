import tomllib
from contextlib import suppress

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import EXIT_PLUGIN, EXIT_USAGE, PipelineError
from framework.pipeline import Pipeline, load, to_toml
from framework.pipeline.sections import COMPONENTS, KEYS, SECTIONS, Sampling

MINIMAL = """\
[run]
total_steps = 1000
[environment]
use = "world"
id = "Maze-v0"
[algorithm]
use = "agent"
"""


@pytest.fixture
def loaded(write, catalog):
    """Load a pipeline from its text."""
    return lambda text, *overrides: load(write(text), overrides, catalog)


@pytest.fixture
def refused(write, catalog):
    """The problems of a pipeline as text, and the exit code."""

    def refused(text, *overrides):
        with pytest.raises(PipelineError) as caught:
            load(write(text), overrides, catalog)
        return str(caught.value).splitlines(), caught.value.exit_code

    return refused


def test_a_minimal_pipeline_is_filled_in(loaded, components, tmp_path):
    """What is left out has its default: sections, options, and the encoder."""
    pipeline = loaded(MINIMAL)
    assert pipeline.environment.config == components.WorldConfig(id="Maze-v0")
    assert (pipeline.encoder.use, pipeline.encoder.config) == ("mlp", components.NetConfig())
    assert pipeline.algorithm.config == components.AgentConfig()
    assert (pipeline.bonuses, pipeline.curriculum, pipeline.replay, pipeline.requires) == ((), None, None, ())
    assert (pipeline.run.name, pipeline.run.seed, pipeline.run.total_steps) == ("run", 0, 1000)
    assert attrs.asdict(pipeline.sampling) == {
        "environments": 8, "shard": 8, "rollout_length": 128, "policy_lag": 1, "max_lag": 4,
        "max_replay_steps": 100_000,
    }  # fmt: skip
    assert attrs.asdict(pipeline.evaluation) == {
        "episodes": 20, "every_steps": 0, "deterministic": True, "video": 0, "tasks": ()
    }  # fmt: skip
    assert attrs.asdict(pipeline.checkpoint) == {"every_seconds": 30.0, "keep": 3}
    assert attrs.asdict(pipeline.runtime) == {
        "samplers": 1, "listen": None, "launcher": None, "environment_timeout": 300.0, "on_environment_error": "stop",
        "environment_error_share": 0.05, "reconnect_grace": 10.0,
        "device": "auto", "precision": "float32", "compile": False, "threads": "auto"
    }  # fmt: skip
    assert pipeline.directory == tmp_path


FULL = (
    MINIMAL
    + """\
schedule = "constant"
[encoder]
hidden = [32]
[[bonus]]
use = "counter"
weight = 0.5
decay = 0.25
[[bonus]]
use = "counter"
[curriculum]
use = "threshold"
[replay]
use = "uniform"
[sampling]
environments = 6
shard = 2
policy_lag = "free"
"""
)


def test_every_kind_of_component(loaded, components):
    """Bonuses have weights beside their options; components without options have None."""
    pipeline = loaded(FULL, "environment={use='school'}")
    assert pipeline.encoder.config == components.NetConfig(hidden=(32,))
    assert [bonus.kernel.weight for bonus in pipeline.bonuses] == [0.5, 1.0]
    assert [bonus.config.decay for bonus in pipeline.bonuses] == [0.25, 0.5]
    assert (pipeline.curriculum.config, pipeline.replay.config) == (None, None)


def test_plain_values_make_the_same_pipeline(loaded, catalog):
    """to_plain is fully resolved, goes through TOML unchanged, and from_plain makes an equal pipeline of it."""
    pipeline = loaded(FULL, "environment={use='school'}", 'requires=["attrs"]')
    values = tomllib.loads(to_toml(pipeline.to_plain()))
    assert values == pipeline.to_plain()
    assert Pipeline.from_plain(values, pipeline.directory, catalog) == pipeline
    assert list(values) == [key for key in KEYS if key in values]
    assert values["bonus"][1] == {"use": "counter", "weight": 1.0, "discount": 0.99, "decay": 0.5, "mode": "exact"}


def test_a_shard_is_all_environments_by_default():
    """Sampling.shard follows environments unless it is given."""
    assert Sampling(environments=6).shard == 6


# --- mistakes ----------------------------------------------------------------------------------------------------

TEN_MISTAKES = """\
requires = ["framework-acme >< 2"]

[run]
seed = -1
total_steps = "many"

[environment]
use = "world"
ide = "Maze-v0"

[encoder]
use = "mpl"

[algorithm]
use = "agent"
learning_rate = "3e-4"
epochs = true

[[bonus]]
use = "counter"
wieght = 0.5

[sampling]
shard = 3

[runtimes]
samplers = 1
"""


def test_ten_mistakes_are_ten_messages(refused):
    """All mistakes of a file are reported at once, each with its line, its key and what to do; exit code 2."""
    expected = [
        'p.toml:1: requires.0: expected a distribution, such as "framework-acme>=0.2", not "framework-acme >< 2"',
        "p.toml:4: run.seed: must be at least 0, is -1",
        'p.toml:5: run.total_steps: expected an integer, not "many"',
        "p.toml:9: environment.ide: unknown key; did you mean id?",
        "p.toml:12: encoder.use: there is no encoder named 'mpl'; did you mean mlp?",
        'p.toml:16: algorithm.learning_rate: expected a number, not "3e-4"; write it without quotes',
        "p.toml:17: algorithm.epochs: expected an integer, not true",
        "p.toml:21: bonus.0.wieght: unknown key; did you mean weight?",
        "p.toml:24: sampling.shard: must divide environments, which is 8; is 3",
        "p.toml:26: runtimes: unknown key; did you mean runtime?",
    ]
    assert refused(TEN_MISTAKES) == (expected, EXIT_USAGE)


def test_mistakes_in_a_base_and_in_overrides_are_named_there(write, catalog):
    """Each problem points into the file that has it, this one's first."""
    write(MINIMAL.replace("1000", "0") + "gamma = 1\n", "base.toml")
    write('extends = "base.toml"\n[run]\nseed = 1.5\n')
    with pytest.raises(PipelineError) as caught:
        load("p.toml", ["algorithm.epochs=0", "oops"], catalog)
    assert str(caught.value).splitlines() == [
        "p.toml:3: run.seed: expected an integer, not 1.5",
        "base.toml:2: run.total_steps: must be at least 1, is 0",
        "base.toml:8: algorithm.gamma: unknown key; known: learning_rate, epochs, schedule, target_kl",
        "override: 'oops' is not written key=value, such as run.seed=2",
        "override: algorithm.epochs: must be at least 1, is 0",
    ]


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["runtime.device='cud'"], 'runtime.device: must match auto|(cpu|cuda|mps|xpu)(:\\d+)?, not "cud"'),
        (["run.name='a/b'"], 'run.name: must match [A-Za-z0-9][A-Za-z0-9_.+-]*, not "a/b"'),
        (["sampling.policy_lag=17"], "sampling.policy_lag: must be at most 16, is 17"),
        (["sampling.policy_lag='fre'"], "sampling.policy_lag: expected an integer or \"free\", not \"fre\"; "
         'did you mean "free"?'),
        (["runtime.precision='float8'"], "runtime.precision: expected one of \"float32\", \"bfloat16\", \"float16\", "
         'not "float8"; did you mean "float32"?'),
        (["checkpoint.keep=0"], "checkpoint.keep: must be at least 1, is 0"),
        (["run=1"], "run: expected a table, not 1"),
        (["environment=1"], "environment: expected a table"),
        (["environment=world"], 'environment: expected a table, such as { use = "world" }; on a command line '
         "environment.use=world"),
        (["learning_rate=1"], "learning_rate: unknown key; did you mean algorithm.learning_rate?"),
        (["seed=1"], "seed: unknown key; did you mean run.seed?"),
        (["algorithm.epochs=many"], 'algorithm.epochs: expected an integer, not "many"'),
        (["algorithm.use=AGENT"], "algorithm.use: there is no algorithm named 'AGENT'; did you mean agent?"),
        (["bonus=counter"], "bonus: expected an array of tables, each written [[bonus]]; on a command line "
         "bonus='[{use = \"counter\"}]'"),
        (["bonus.0.use=counter"], "bonus: expected an array of tables, each written [[bonus]]; on a command line "
         "bonus='[{use = \"counter\"}]'"),
        (["environment={use=1}"], "environment.use: expected a string: which environment to use; known: world, school"),
        (["bonus={use='counter'}"], "bonus: expected an array of tables, each written [[bonus]]; on a command line "
         "bonus='[{use = \"counter\"}]'"),
        (["bonus=[1]"], "bonus.0: expected a table"),
        (["bonus=[{}]"], "bonus.0.use: missing: which bonus to use; known: counter, lost, broken, raising"),
        (["bonus=[{use='counter', weight='x'}]"], 'bonus.0.weight: expected a number, not "x"'),
        (["bonus=[{use='counter', mode='hash', decay=0}]"], "bonus.0.decay: a hash needs a decay"),
        (["replay={use='uniform', size=1}"], "replay.size: unknown key; there are no options"),
        (["requires='a'"], 'requires: expected an array, not "a"'),
    ],
)  # fmt: skip
def test_each_section_is_checked(refused, overrides, problem):
    """What is wrong with an override of any section is one problem."""
    assert refused(MINIMAL, *overrides) == ([f"override: {problem}"], EXIT_USAGE)


def test_a_file_that_is_named_without_its_class_is_seen(refused, tmp_path):
    """The error names a class in it; a file that is no Python is passed over."""
    (tmp_path / "waves.py").write_text("import torch\n\nclass Waves: pass\n")
    problems, _ = refused(MINIMAL, "encoder.use=waves")
    assert problems == [
        "override: encoder.use: there is no encoder named 'waves'; a class of waves.py is named with it, such as "
        "waves:Waves"
    ]
    (tmp_path / "waves.py").write_text("class")
    assert "known: mlp" in refused(MINIMAL, "encoder.use=waves")[0][0]


def test_missing_sections(refused):
    """What is required is named by its dotted key, even where its whole section is missing."""
    expected = [
        "p.toml: run.total_steps: missing: Environment steps to collect, over all environments.",
        "p.toml: environment.use: missing: which environment to use; known: world, school",
        "p.toml: algorithm.use: missing: which algorithm to use; known: agent, plain, hoarder",
    ]
    assert refused("") == (expected, EXIT_USAGE)


def test_a_misspelled_section_is_one_mistake(refused):
    """What is missing because its section is misspelled is not reported a second time."""
    misspelled = MINIMAL.replace("[run]", "[runn]").replace("[environment]", "[enviroment]")
    expected = [
        "p.toml:1: runn: unknown key; did you mean run?",
        "p.toml:3: enviroment: unknown key; did you mean environment?",
    ]
    assert refused(misspelled) == (expected, EXIT_USAGE)


# --- plugins -----------------------------------------------------------------------------------------------------


def test_a_missing_plugin_is_exit_code_4(refused):
    """Where a plugin is all that is wrong, the exit code says so; next to a mistake in the file it is 2."""
    lines, code = refused(MINIMAL, "bonus=[{use='acme/rnd'}]")
    assert (lines[0], code) == ("override: bonus.0.use: no plugin named 'acme' is installed", EXIT_PLUGIN)
    assert refused(MINIMAL, "bonus=[{use='acme/rnd'}]", "run.seed=-1")[1] == EXIT_USAGE


def test_a_broken_plugin_is_shown_with_its_traceback(refused):
    """Options that cannot be imported, or are no options, name the component and its distribution."""
    lines, code = refused(MINIMAL, "bonus=[{use='lost'}]")
    assert lines[0].startswith("override: bonus.0.use: bonus 'lost' (framework-rl 0) cannot be imported")
    assert ("No module named 'no_such_module'" in lines[-1], code) == (True, EXIT_PLUGIN)
    lines, code = refused(MINIMAL, "bonus=[{use='broken', numbers=[1]}]")
    assert "fake_components:BrokenConfig is broken: TypeError: an option cannot have the type set" in lines[0]
    assert code == EXIT_PLUGIN
    lines, code = refused(MINIMAL, "bonus=[{use='raising'}]")
    assert lines[0].endswith("the options of bonus 'raising' (framework-rl 0) are broken: KeyError: 'by design'")
    assert (lines[1], code) == ("Traceback (most recent call last):", EXIT_PLUGIN)


def test_required_distributions(refused, loaded):
    """requires is held against what is installed: what is missing or too old is exit code 4."""
    assert loaded('requires = ["attrs", "Click>=8"]\n' + MINIMAL).requires == ("attrs", "Click>=8")
    lines, code = refused('requires = [\n"attrs>=20",\n"attrs>=999",\n"framework-nothing"]\n' + MINIMAL)
    version = attrs.__version__
    assert lines == [
        f"p.toml:3: requires.1: attrs>=999 is required, {version} is installed",
        "p.toml:4: requires.2: framework-nothing is not installed",
    ]
    assert code == EXIT_PLUGIN


def test_a_class_in_a_file_beside_the_pipeline(write, catalog, tmp_path, monkeypatch):
    """use = "my_file:Class" finds the file beside the pipeline, wherever one works; its options are Class.Config."""
    source = "from attrs import frozen\nfrom framework.schema import option\nclass Net:\n    supports = {'memory'}\n"
    source += "    @frozen\n    class Config:\n        size: int = option(3, help='Size.')\n"
    (tmp_path / "my_net.py").write_text(source)
    write(MINIMAL + '[encoder]\nuse = "my_net:Net"\nsize = 4\n')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pipeline = load("../p.toml", (), catalog)
    assert (pipeline.encoder.use, pipeline.encoder.config.size) == ("my_net:Net", 4)
    assert Pipeline.from_plain(pipeline.to_plain(), pipeline.directory, catalog) == pipeline
    with pytest.raises(PipelineError, match='encoder: my_net:Net needs an algorithm that supports "memory"'):
        load("../p.toml", ["algorithm.use=plain"], catalog)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("bonus=[{use='counter'}]", 'bonus.0: counter needs an algorithm that supports "streams", unlike plain'),
        ("replay.use=uniform", 'replay: uniform needs an algorithm that supports "replay", unlike plain'),
        ("encoder.use=recurrent", 'encoder: recurrent needs an algorithm that supports "memory", unlike plain'),
        ("curriculum.use=threshold", 'curriculum: threshold needs an environment that supports "tasks", unlike world'),
        ("sampling.policy_lag='free'", 'sampling.policy_lag: "free" needs an algorithm that supports "off_policy", '
         "unlike plain"),
    ],
)  # fmt: skip
def test_what_cannot_compose_is_refused(refused, loaded, override, problem):
    """Components that lack what another needs are refused; those that declare it are not."""
    lines, code = refused(MINIMAL, override, "algorithm.use=plain")
    assert ([line.partition(": ")[2] for line in lines], code) == ([problem], EXIT_USAGE)
    assert loaded(MINIMAL, override, "environment={use='school'}").algorithm.use == "agent"


def test_what_a_component_needs_must_be_there(refused, loaded):
    """An algorithm that needs a replay buffer is refused without one."""
    assert refused(MINIMAL, "algorithm={use='hoarder'}") == (
        ["p.toml: replay: missing: hoarder needs a replay"], EXIT_USAGE
    )  # fmt: skip
    assert loaded(MINIMAL, "algorithm={use='hoarder'}", "replay.use=uniform").replay.use == "uniform"


@pytest.mark.parametrize(
    ("encoder", "problem"),
    [
        ("{use='composite', core='mpl'}", "encoder.core.use: there is no encoder named 'mpl'; did you mean"),
        ("{use='composite', core={hidden=[3]}}", "encoder.core.use: missing: which encoder to use;"),
        ("{use='composite', core={use='mlp', hiden=[3]}}", "encoder.core.hiden: unknown key; did you mean hidden?"),
        ("{use='composite', parts={left={use='mlp', hidden=[0]}}}", "encoder.parts.left.hidden.0: must be at least 1"),
        (
            "{use='composite', core={use='composite', core='mpl'}}",
            "encoder.core.core.use: there is no encoder named 'mpl'",
        ),
    ],
)
def test_components_inside_components_are_checked(refused, encoder, problem):
    """Options that name a component are checked like any component, wherever they stand."""
    (line,), code = refused(MINIMAL, f"encoder={encoder}")
    assert (line.partition(": ")[2][: len(problem)], code) == (problem, EXIT_USAGE)


def test_components_inside_components(loaded, catalog):
    """A name alone is enough; the options stay as they were written, and read back the same."""
    encoder = "{use='composite', core={use='mlp', hidden=[3]}, parts={left='mlp', right={use='composite'}}}"
    pipeline = loaded(MINIMAL, f"encoder={encoder}")
    assert pipeline.encoder.config.core == {"use": "mlp", "hidden": [3]}
    assert pipeline.encoder.config.parts == {"left": "mlp", "right": {"use": "composite"}}
    assert Pipeline.from_plain(pipeline.to_plain(), pipeline.directory, catalog) == pipeline


def test_a_bonus_has_a_reward_stream(loaded):
    """The kernel reads weight and discount beside the bonus's own options."""
    pipeline = loaded(MINIMAL, "bonus=[{use='counter', weight=2, discount=0.5, decay=0.1}, {use='counter'}]")
    assert [(bonus.kernel.weight, bonus.kernel.discount) for bonus in pipeline.bonuses] == [(2.0, 0.5), (1.0, 0.99)]


PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["agent", "world", "x:Y", "", "/"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["use", "weight", "seed", "id"]), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(values=st.dictionaries(st.sampled_from([*SECTIONS, *COMPONENTS, "requires", "extra"]), PLAIN, max_size=6))
def test_any_values_are_a_pipeline_or_a_pipeline_error(catalog, tmp_path_factory, values):
    """Whatever the plain values, the only error is PipelineError."""
    base = {"run": {"total_steps": 1}, "environment": {"use": "school"}, "algorithm": {"use": "agent"}}
    with suppress(PipelineError):
        pipeline = Pipeline.from_plain(base | values, tmp_path_factory.getbasetemp(), catalog)
        assert Pipeline.from_plain(pipeline.to_plain(), pipeline.directory, catalog) == pipeline
