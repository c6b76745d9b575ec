"""The videos of a run: inside the page as far as there is room, else linked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from framework.report.html import Html, data_url, element, figure, grid, listing, markup, paragraph
from framework.report.numbers import amount
from framework.studies.recorded_run import RecordedRun

_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}
#: Links to videos that are not in the page.
_LINKS = 100


def videos_of(runs: Sequence[RecordedRun], page: Path, limit: int) -> Html:
    """The videos of runs, the newest first.

    Args:
        runs: what was recorded is in the folder ``videos`` of each.
        page: the file that the page will be; links lead from there.
        limit: bytes of videos that the page holds at most.
    """
    files = sorted(((path, run) for run in runs for path in _files(run)), key=lambda pair: pair[0].name, reverse=True)
    if not files:
        return Html()
    inside, links, room = [], [], limit
    for path, run in files:
        title = path.stem if len(runs) == 1 else f"{run.directory.name}: {path.stem}"
        size = path.stat().st_size
        if size <= room:
            room -= size
            inside.append(_embedded(path, title))
        else:
            target = quote(os.path.relpath(path.resolve(), page.resolve().parent))
            links.append([element("a", title, href=f"./{target}"), " ", element("small", amount(size))])
    why = f"The page holds {amount(limit)} of videos at most; these lie beside it:" if inside else None
    return markup(
        grid(inside) if inside else None,
        [paragraph(why or "They lie beside the page:"), listing(links[:_LINKS])] if links else None,
        paragraph(f"and {len(links) - _LINKS} more", muted=True) if len(links) > _LINKS else None,
    )


def _files(run: RecordedRun) -> Iterator[Path]:
    """Plain files with a known ending: a link could lead to anything."""
    folder = run.directory / "videos"
    if folder.is_dir() and not folder.is_symlink():
        yield from (
            path for path in folder.iterdir() if path.suffix in _TYPES and path.is_file() and not path.is_symlink()
        )


def _embedded(path: Path, title: str) -> Html:
    data = path.read_bytes()
    kind, words = _TYPES[path.suffix], f"Video of episodes: {title}"
    if kind.startswith("image/"):
        shown = element("img", src=data_url(data, kind), alt=words)
    else:
        silence = data_url(b"WEBVTT\n\n00:00.000 --> 99:59:59.000\n(no sound)\n", "text/vtt")
        track = element("track", kind="captions", srclang="en", label="Captions", src=silence)
        shown = element(
            "video",
            track,
            src=data_url(data, kind),
            aria_label=words,
            controls=True,
            muted=True,
            loop=True,
            playsinline=True,
        )
    return figure(title, shown, note=amount(len(data)))
