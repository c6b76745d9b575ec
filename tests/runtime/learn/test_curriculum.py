from counting import Counting

from framework.runtime.data.tasks import decode_tasks, draw_tasks
from framework.runtime.learn.curriculum import TaskSource


def test_tasks_of_a_version_are_drawn_by_its_seed() -> None:
    """As many as the source was made for."""
    task_arrays = TaskSource(Counting(), 1, 4).draw(5)
    assert decode_tasks(task_arrays["tasks"]) == decode_tasks(draw_tasks(Counting(), 4, 1, 5))


def test_episodes_reach_the_curriculum() -> None:
    """Metrics are named after the curriculum; its state is kept."""
    curriculum = Counting()
    source = TaskSource(curriculum, 0, 3)
    assert source.update([{"task": 1}, {"task": 2}]) == {"curriculum/heard": 2.0}
    assert curriculum.heard == [1, 2]
    source.draw(0)
    restored = Counting()
    TaskSource(restored, 0, 3).load_state_dict(source.state_dict())
    assert restored.sampled == 3


def test_a_run_without_curriculum_has_no_tasks() -> None:
    """Nothing is drawn, heard or kept."""
    source = TaskSource(None, 0, 3)
    assert (source.draw(0), source.update([{"task": 1}]), source.state_dict()) == ({}, {}, {})
