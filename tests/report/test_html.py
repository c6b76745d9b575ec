import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markup import HOSTILE, Page, check_page

from framework.report.html import (
    Html,
    chip,
    clipped,
    definitions,
    details,
    element,
    figure,
    grid,
    image,
    listing,
    markup,
    page,
    paragraph,
    section,
    table,
    tiles,
)


def test_elements_nest_and_texts_are_escaped():
    """Markup stays, text does not become markup; None, False and empty lists are nothing."""
    inner = element("b", "a < b & c")
    assert inner == "<b>a &lt; b &amp; c</b>"
    assert element("p", inner, None, [" and ", [inner], []], title='"x"', hidden=True, open=False, id=None) == (
        f'<p title="&quot;x&quot;" hidden>{inner} and {inner}</p>'
    )
    assert element("img", src="data:,", aria_label="x") == '<img src="data:," aria-label="x">'
    assert element("td", "1", class_="number") == '<td class="number">1</td>'


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_comes_back_as_text(text):
    """As content and as attribute, but for control characters, which are replaced."""
    read = Page(element("p", text, title=text))
    shown = "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
    assert [(attributes["title"], inner) for attributes, inner in read.all("p")] == [(shown, shown)]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_block_lets_text_become_markup(name):
    """In every place that a text can stand in."""
    everything = page(
        name,
        section(name, paragraph(name), chip(name), tiles({name: name}), definitions({name: name})),
        table([name, "n"], [[name, name]], caption=name, numbers=["n"]),
        details(name, listing([name, name])),
        grid(figure(name, image(b"\x89PNG", "image/png", name or "x"), note=name), large=True),
        head=paragraph(name, muted=True),
        foot=name,
    )
    read = check_page(everything)
    kinds = {tag for tag, _ in read.elements}
    assert "img" in kinds
    assert len(read.all("img")) == 1
    assert len(read.all("title")) == 1
    assert "\x00" not in everything


def test_the_policy_allows_the_stylesheet_alone():
    """Its hash is in the policy, so that no other style and no script has an effect."""
    read = check_page(page("A run", paragraph("x")))
    [(_, style)] = read.all("style")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [attributes["content"] for attributes, _ in read.all("meta") if attributes.get("http-equiv")]
    assert f"style-src 'sha256-{digest}';" in policy
    assert ("viewport", "width=device-width, initial-scale=1") in [
        (attributes.get("name"), attributes.get("content")) for attributes, _ in read.all("meta")
    ]
    assert read.all("html")[0][0] == {"lang": "en"}


def test_a_page_is_the_same_each_time():
    """The same content makes the same bytes."""
    assert page("A", "b") == page("A", "b")


def test_tables_have_headings_and_can_be_scrolled():
    """Each column and row has one; columns of numbers are to the right; a reader without a mouse can scroll."""
    read = Page(table(["run", "return"], [["a", "1"], ["b", "2"]], caption="Results", numbers=["return"]))
    heads = read.all("th")
    assert [(attributes["scope"], inner) for attributes, inner in heads] == [
        ("col", "run"),
        ("col", "return"),
        ("row", "a"),
        ("row", "b"),
    ]
    assert [attributes.get("class") for attributes, _ in read.all("td")] == ["number", "number"]
    [(place, _)] = read.all("div")
    assert (place["role"], place["tabindex"], place["aria-label"]) == ("group", "0", "Results")


def test_a_section_of_nothing_is_none():
    """So what a run lacks leaves no empty heading."""
    assert section("Videos", None, [], Html()) == ""
    assert section("Videos", "x").startswith("<section><h2>Videos</h2>")


def test_long_texts_are_cut():
    """To a number of characters."""
    assert clipped("abc", 3) == "abc"
    assert clipped("abcd", 3) == "ab…"
    assert markup("a", element("b", "c")) == "a<b>c</b>"
