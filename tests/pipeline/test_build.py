import gymnasium
import pytest
from attrs import evolve

from framework.errors import PipelineError, PluginError
from framework.interfaces import EnvironmentContext
from framework.pipeline import load
from framework.pipeline.build import build, build_algorithm, build_curriculum, build_environment, make_context

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
    assert (context.seed, context.num_envs, context.rollout_length) == (5, 6, 128)
    assert (context.device, context.total_steps, context.policy_lag) == ("cuda:1", 1000, 1)
    first, second = context.make_encoder(), context.make_encoder()
    assert first is not second
    assert first.config == components.NetConfig(hidden=(8,))
    assert first.context.observation_space is spaces


def test_a_component_without_options_gets_none(pipeline):
    """config is None where a component takes no options."""
    replay = pipeline("replay.use=uniform").replay
    assert build(replay, "context").config is None


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
    whitened = evolve(context, observation_space={"whitened": object()})
    assert context.make_encoder(whitened).context is whitened


def test_streams_are_named_after_their_bonuses(pipeline):
    """Each bonus is built once for each call, with its weight and discount; equal names get numbers."""
    loaded = pipeline("bonus=[{use='counter', weight=2}, {use='counter', discount=0.5}, {use='counter'}]")
    context = make_context(loaded, {}, None, "cpu")
    assert context.bonuses == ("counter", "counter_2", "counter_3")
    streams = context.make_streams()
    assert [(stream.name, stream.weight, stream.discount) for stream in streams] == [
        ("counter", 2.0, 0.99), ("counter_2", 1.0, 0.5), ("counter_3", 1.0, 0.99)
    ]  # fmt: skip
    assert streams[0].bonus.context.bonuses == context.bonuses
    assert make_context(pipeline(), {}, None, "cpu").make_streams() == []


def test_a_replay_buffer_is_made_where_there_is_one(pipeline):
    """make_replay is None in a pipeline without one."""
    assert make_context(pipeline(), {}, None, "cpu").make_replay is None
    context = make_context(pipeline("replay.use=uniform"), {}, None, "cpu")
    assert context.make_replay() is not context.make_replay()


def test_a_curriculum_knows_the_spaces(pipeline):
    """None where the pipeline has none."""
    assert build_curriculum(pipeline(), {}, None) is None
    loaded = pipeline("environment={use='school'}", "curriculum.use=threshold")
    assert build_curriculum(loaded, {"x": "space"}, None).context.observation_space == {"x": "space"}


def test_an_encoder_inside_another(write):
    """make_part builds what an option names, for the context that it is given; a mistake is one of the pipeline."""
    loaded = load(write(PIPELINE.replace('"world"', '"gymnasium"').replace('"agent"', '"ppo"')))
    leaf = {"left": gymnasium.spaces.Box(-1, 1, (5,))}
    context = make_context(loaded, {**leaf, "right": gymnasium.spaces.Discrete(3)}, None, "cpu")
    leaf_context = evolve(context, observation_space=leaf)
    assert context.make_part({"use": "mlp", "hidden": [7]}, leaf_context).feature_dim == 7
    assert context.make_part("mlp", leaf_context).vectors.width == 5
    with pytest.raises(PipelineError, match="did you mean mlp"):
        context.make_part("mpl", leaf_context)
