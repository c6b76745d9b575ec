"""The page of the table of the research environment: measured between its markers, written around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from measure.results import BENCHMARKS

PAGE = BENCHMARKS.parent / "docs/reference/research-table.md"
PICTURES = BENCHMARKS.parent / "docs/images"
#: The title of the ablation's section.
ABLATION = "ablation"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_PAGE = f"""\
# Table of the research environment

How good policies are at [`research`](../../plugins/framework_research/README.md) on its test split: names and pairs of
relations that training never had. `python benchmarks/research_table.py --runs FOLDER` trains, evaluates and writes what
stands between here and the end.

- **completed**: episodes in which every question is answered rightly, with its evidence.
- **reward**: the undiscounted sparse return, whatever was trained on.
- **steps** of an episode; **efficiency**: the fewest steps that succeed by those it took, 0 where it failed.
- **transfer**: success beyond chance where one thing is new, by success beyond chance where nothing is; from 0 to 1 for
  each kind of novelty, averaged. A dash where there is nothing to transfer.

{BEGIN}
{END}
"""


def write_page(path: Path, sections: Sequence[tuple[str, str]], notes: Sequence[str]) -> None:
    """Put tables, by title, and notes between the markers of a page; a new one where there is none.

    Raises `SystemExit` where the page has lost its markers.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else _PAGE
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no {BEGIN} and {END}: put them where the tables belong")
    parts = []
    for title, table in sections:
        parts += [f"## {title.capitalize()}", table]
        if title == ABLATION:
            parts.append(_picture("research-ablation", "ablations"))
        elif (title, table) == sections[0]:
            parts.append(_picture("research-table", "rows"))
    made = "\n\n".join([*parts, *notes])
    path.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


def _picture(name: str, what: str) -> str:
    label = f"Success while training, level of the curriculum, and success by level, of the {what}"
    return f"![{label}](../images/{name}.png)"
