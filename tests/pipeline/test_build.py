import pytest
from attrs import evolve

from framework.errors import PipelineError, PluginError
from framework.interfaces import EnvironmentContext
from framework.pipeline import load
from framework.pipeline.build import build, build_algorithm, build_environment, make_context

PIPELINE = """\
[run]
total_steps = 1000
seed = 5
[environment]
use = "world"
id = "Maze-v0"
[algorithm]
use = "agent"
[sampling]
environments = 6
shard = 2
"""


@pytest.fixture
def pipeline(write, catalog):
    return lambda *overrides: load(write(PIPELINE), overrides, catalog)


def test_an_environment_gets_seed_and_render_mode(pipeline, components):
    """The environment component is built from its options and what it may know."""
    environment = build_environment(pipeline(), seed=3, render_mode="rgb_array")
    assert environment.config == components.WorldConfig(id="Maze-v0")
    assert environment.context == EnvironmentContext(seed=3, render_mode="rgb_array")


def test_an_algorithm_builds_the_encoder_through_its_context(pipeline, components):
    """The context carries spaces, sizes and seed, and makes the pipeline's encoder, anew at each call."""
    spaces, action_space = {"observation": object()}, object()
    algorithm = build_algorithm(pipeline("encoder.hidden=[8]"), spaces, action_space, device="cuda:1")
    context = algorithm.context
    assert (context.observation_space, context.action_space) == (spaces, action_space)
    assert (context.seed, context.environments, context.rollout_length) == (5, 6, 128)
    assert (context.device, context.total_steps, context.policy_lag) == ("cuda:1", 1000, 1)
    first, second = context.make_encoder(), context.make_encoder()
    assert first is not second
    assert first.config == components.NetConfig(hidden=(8,))
    assert first.context.observation_space is spaces


def test_a_component_without_options_gets_none(pipeline):
    """config is None where a component takes no options."""
    chosen = pipeline("replay.use=uniform").replay
    assert build(chosen, "context").config is None


def test_a_component_that_refuses_is_a_mistake_in_the_pipeline(pipeline):
    """A FrameworkError while building says what cannot be put together: exit code 2, at the component's section."""
    with pytest.raises(
        PipelineError, match="replay: refusing cannot be built: the action space is too round"
    ) as caught:
        build(pipeline("replay.use=refusing").replay, None)
    assert caught.value.exit_code == 2


def test_a_component_that_fails_is_a_broken_plugin(pipeline):
    """Any other exception while building is the plugin's: its distribution and the traceback are shown."""
    expected = (
        r"(?s)replay 'failing' \(framework-rl 0\) failed while it was built: ZeroDivisionError: by design\nTraceback"
    )
    with pytest.raises(PluginError, match=expected):
        build(pipeline("replay.use=failing").replay, None)


def test_every_component_may_know_the_same(pipeline):
    """make_context is what algorithm, bonuses, curriculum and replay are built with."""
    context = make_context(pipeline("sampling.policy_lag='free'"), {}, None, "cpu")
    assert context.policy_lag == "free"
    assert build(pipeline("replay.use=uniform").replay, context).context is context


def test_an_encoder_may_have_parts_and_see_another_space(pipeline):
    """An encoder is built with the whole context of its algorithm, or with another one that it is asked for."""
    context = make_context(pipeline(), {"observation": object()}, None, "cpu")
    assert context.make_encoder().context is context
    other = evolve(context, observation_space={"whitened": object()})
    assert context.make_encoder(other).context is other
