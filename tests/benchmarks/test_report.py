import json
from pathlib import Path
from typing import Any

from measure import report
from measure.aims import Aim, aims


def result(rows: list[dict[str, Any]]) -> str:
    """A result file as `measure.results.publish` writes it, as far as the report reads it."""
    machine = {"processor": "Abacus 9000", "usable_cores": 3, "busy_before": 0.25}
    versions = {"torch": "9.9", "gymnasium": "8.8", "commit": "abc"}
    return json.dumps(
        {"finished": "2030-01-02T03:04:05", "machine": machine, "versions": versions, "measurements": rows}
    )


def run(row: str, seed: int, score: float) -> dict[str, Any]:
    curve = [[1000, 0.0], [3000, score]]
    return {"row": row, "seed": seed, "steps": 4096, "seconds": 10.0 + seed, "return": score, "curve": curve}


def test_aims_are_read_from_examples() -> None:
    """The first line of an example says environment, score and steps."""
    assert aims()["acrobot"] == Aim("Acrobot-v1", -110.0, 300_000)
    assert aims()["minigrid-doorkey"].score == 0.9


def test_verdict_counts_the_seeds_that_reach_the_aim() -> None:
    """A run that reaches the aim exactly counts, one just below does not; other rows are left alone."""
    runs = [run("a", 1, 475.0), run("b", 1, 500.0), run("a", 2, 474.9), run("a", 3, 500.0)]
    verdict = Aim("CartPole-v1", 475.0, 100_000).verdict(runs, "a")
    assert verdict == ["1, 2, 3", 4096, "11 to 13", "475, 474.9, 500", 475.0, "2 of 3"]


def test_page_says_what_the_files_say(tmp_path: Path) -> None:
    """Only examples with a result file are on the page, with their figures, the machine, and what they were compared
    with.
    """
    lag = "sampling.policy_lag=0"
    runs = [run("cartpole", 1, 480.0), run("cartpole", 2, 400.0), run(lag, 1, 490.0), run(lag, 2, 300.0)]
    (tmp_path / "learning-cartpole.json").write_text(result(runs))
    (tmp_path / "learning-pendulum.json").write_text(result([run("pendulum", 1, -200.0)]))
    page = report.page(report.results(tmp_path))
    (line,) = [line for line in page.splitlines() if "examples/cartpole.toml" in line]
    assert [cell.strip() for cell in line.strip("|").split("|")][1:] == [
        "CartPole-v1", "1, 2", "4,096", "11 to 12", "480, 400", "475", "1 of 2",
    ]  # fmt: skip
    assert "2030-01-02, Abacus 9000, 3 cores (25% busy with other things before), torch 9.9" in page
    assert f"learning.py cartpole --against {lag}`" in page
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {lag}")]
    assert [cell.strip() for cell in line.split("|")[-3:-1]] == ["3,000, -", "245, 150"]
    assert "pendulum, compared" not in page
    assert "acrobot" not in page
