"""Writes a scene of the research environment as lines of text, for render mode "ansi"."""

from __future__ import annotations

from textwrap import wrap

from framework_research.render.scene import Bar, Scene

_WIDTH, _TALLEST = 100, 40  #: characters


def write_scene(scene: Scene) -> str:
    """The text: paragraphs of a heading and its lines, numbered as actions number them."""
    parts = [
        [*wrap(scene.question, _WIDTH), scene.state, f"last action: {scene.action}"],
        ["Results", *numbered_lines(scene.results)] if scene.results else [],
        [scene.title, *numbered_lines(scene.lines)] if scene.title else [],
        [scene.figure, *numbered_lines(_legend_lines(scene.bars))] if scene.figure else [],
        ["Notes", *numbered_lines(scene.notes)] if scene.notes else [],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def numbered_lines(lines: list[str]) -> list[str]:
    """Lines with the numbers that actions have for them."""
    return [f"  {number}  {line}" for number, line in enumerate(lines)]


def _legend_lines(bars: list[Bar]) -> list[str]:
    width = max(len(bar.entity) for bar in bars)
    return [f"{bar.colour:8}{bar.entity:{width}}  {_height_text(bar.height)}" for bar in bars]


def _height_text(height: float | None) -> str:
    return "(not looked at)" if height is None else f"{'#' * round(_TALLEST * height)} {height:.2f}"
