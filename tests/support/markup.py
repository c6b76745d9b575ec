"""Pages read back: their elements, and what a page of ours may not have."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "track", "link", "col"}
#: What somebody could call a run, a sampler or a metric.
HOSTILE = [
    "</script><script>alert(1)</script>",
    "</title></style><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "&lt;b&gt; &amp; <!-- ]]> <svg/onload=alert(1)>",
    "\x00\x1b[31m\ud800\u202egnp.exe",
]


class Page(HTMLParser):
    """The elements of a page: tag and attributes of each, and the text inside of it."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self._open: list[tuple[str, int]] = []
        self.feed(text)
        self.close()
        assert self._open == [], "elements that are not closed"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), "an attribute twice"
        if tag not in VOID:
            self._open.append((tag, len(self.elements) - 1))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> of nothing"
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, index in self._open:
            self.texts[index] = self.texts.get(index, "") + data

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        """Attributes and text of each element of a kind."""
        return [
            (attributes, self.texts.get(index, ""))
            for index, (name, attributes) in enumerate(self.elements)
            if name == tag
        ]

    @property
    def text(self) -> str:
        """All text."""
        return self.texts.get(0, "")


def check_page(text: str) -> Page:
    """The page, after checking that it runs nothing, loads nothing, and describes its pictures."""
    text.encode()
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in {"script", "iframe", "object", "embed", "base", "form", "link"}
        assert [name for name in attributes if name.startswith("on") or name in {"style", "srcdoc"}] == []
        for name in {"src", "poster", "data", "xlink:href"} & attributes.keys():
            assert attributes[name].startswith("data:"), attributes
        assert not re.match(r"\s*(javascript|data|https?):", attributes.get("href", "")), attributes
    for attributes, inner in page.all("svg"):
        assert attributes.get("aria-hidden") == "true" or (attributes["role"] == "img" and inner.strip())
    for attributes, _ in page.all("img") + page.all("video"):
        assert attributes.get("alt") or attributes.get("aria-label")
    policies = [attributes for attributes, _ in page.all("meta") if attributes.get("http-equiv")]
    assert [attributes["http-equiv"] for attributes in policies] == ["Content-Security-Policy"]
    assert "default-src 'none'" in policies[0]["content"]
    assert "unsafe" not in policies[0]["content"]
    return page
