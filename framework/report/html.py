"""Pages that are one file: no script, no network, light and dark, from a phone's width to a screen's.

All markup comes out of `element`, which escapes every text and every attribute: what run directories say cannot become
markup. Only `Html` is taken as markup, and nothing outside of this module makes it of text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TypeAlias

from framework.report.style import stylesheet


class Html(str):
    """Markup."""

    __slots__ = ()


#: What elements hold: texts, which are escaped, and markup; nothing for None.
Content: TypeAlias = str | Iterable["Content"] | None

_EMPTY = {"meta", "img", "br", "track", "link", "col"}


def element(tag: str, /, *content: Content, **attributes: str | float | bool | None) -> Html:
    """An element, such as ``element("td", "a < b", class_="number")``.

    An underscore at the end of an attribute's name is left out, others are dashes: ``aria_label``. True gives an
    attribute without a value, False and None give none.
    """
    shown = "".join(
        f" {name}" if value is True else f' {name}="{escape(_printable(str(value)))}"'
        for name, value in ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
        if value is not None and value is not False
    )
    return Html(f"<{tag}{shown}>" if tag in _EMPTY else f"<{tag}{shown}>{markup(*content)}</{tag}>")


def markup(*content: Content) -> Html:
    """Contents one after the other."""
    return Html("".join(_parts(content)))


def _parts(content: Content) -> Iterable[str]:
    if isinstance(content, Html):
        yield content
    elif isinstance(content, str):
        yield escape(_printable(content))
    elif content is not None:
        for part in content:
            yield from _parts(part)


def _printable(text: str) -> str:
    """Text without control characters, halves of surrogate pairs, and what turns the direction of reading."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def clipped(text: str, limit: int = 500) -> str:
    """A text of any length, cut to ``limit`` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def page(title: str, *content: Content, head: Content = None, foot: Content = None) -> Html:
    """A whole document. Its policy forbids scripts, and everything from elsewhere.

    Args:
        title: of the page, and its heading.
        content: its sections.
        head: what stands below the heading.
        foot: what stands at the end, in small print.
    """
    style = stylesheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:; base-uri 'none'"
    document = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=f"{policy}; form-action 'none'"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            element("style", Html(style)),
        ),
        element(
            "body",
            element("header", element("h1", title), head),
            element("main", content),
            element("footer", foot) if foot is not None else None,
        ),
        lang="en",
    )
    return Html(f"<!DOCTYPE html>\n{document}\n")


def section(title: str, *content: Content) -> Html:
    """A part of a page with its heading; a content of nothing makes no section."""
    inner = markup(*content)
    return element("section", element("h2", title), inner) if inner else Html()


def paragraph(*content: Content, muted: bool = False) -> Html:
    """A paragraph; ``muted`` for what stands back."""
    return element("p", *content, class_="muted" if muted else None)


def chip(text: str, meaning: str | None = None) -> Html:
    """A word that catches the eye; its ``meaning`` is "good", "fair", "bad", or none of them."""
    return element("span", text, class_=" ".join(filter(None, ("chip", meaning))))


def tiles(values: Mapping[str, Content]) -> Html:
    """Headline figures: the name of each, and its value in large print."""
    return element(
        "dl",
        (element("div", element("dt", name), element("dd", value)) for name, value in values.items()),
        class_="tiles",
    )


def definitions(values: Mapping[str, Content]) -> Html:
    """Names and what they stand for, as two columns; on a phone one below the other."""
    return element(
        "dl", ((element("dt", name), element("dd", value)) for name, value in values.items()), class_="facts"
    )


def table(
    header: Sequence[str], rows: Iterable[Sequence[Content]], *, caption: str, numbers: Sequence[str] = ()
) -> Html:
    """A table that scrolls sideways where it is too wide. The first cell of a row is its heading.

    Args:
        header: names of the columns.
        rows: their cells.
        caption: what the table shows, for all readers.
        numbers: names of the columns that hold numbers, which are put to the right.
    """
    classes = ["number" if name in numbers else None for name in header]
    body = [
        element(
            "tr",
            (
                element("td" if index else "th", cell, class_=classes[index], scope=None if index else "row")
                for index, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    heads = (element("th", name, class_=kind, scope="col") for name, kind in zip(header, classes, strict=True))
    content = element(
        "table", element("caption", caption), element("thead", element("tr", heads)), element("tbody", body)
    )
    return element("div", content, class_="scroll", tabindex="0", role="group", aria_label=caption)


def listing(rows: Iterable[Content]) -> Html:
    """Rows one below the other, with lines between them."""
    return element("ul", (element("li", row) for row in rows), class_="rows")


def figure(caption: Content, *content: Content, note: str | None = None, class_: str | None = None) -> Html:
    """A figure with its caption, and a note in small print."""
    small = element("small", note) if note else None
    classes = " ".join(filter(None, ("card", class_)))
    return element("figure", element("figcaption", caption, " " if small else None, small), *content, class_=classes)


def image(data: bytes, kind: str, alt: str) -> Html:
    """A picture inside the page; ``kind`` such as "image/png", and ``alt`` for those who do not see it."""
    return element("img", src=data_url(data, kind), alt=alt)


def data_url(data: bytes, kind: str) -> str:
    """Bytes of a media type as a URL that holds them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def details(summary: Content, *content: Content, opened: bool = False) -> Html:
    """What is folded away below its summary."""
    return element("details", element("summary", summary), *content, open=opened)


def grid(*content: Content, large: bool = False) -> Html:
    """Figures side by side, as many as there is room for; ``large`` ones are two at most."""
    return element("div", *content, class_="grid large" if large else "grid")
