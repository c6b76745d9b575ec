import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the site, built strictly, and what the build printed."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return folder, process.stdout + process.stderr


@pytest.fixture(scope="module")
def pages(built):
    """The tags of each page, by its path in the site."""
    return {path.relative_to(built[0]).as_posix(): Tags(path).tags for path in sorted(built[0].rglob("*.html"))}


class Tags(html.parser.HTMLParser):
    """The tags of a page, as (name, attributes)."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_strict_build_is_quiet(built):
    """Nothing is amiss in the site, and building it prints nothing."""
    assert built[1] == ""


def test_navigation_is_the_index(pages):
    """The four parts of the documentation, with each page of docs/ in the first page's navigation."""
    targets = {attributes.get("href") for tag, attributes in pages["index.html"] if tag == "a"}
    sources = [*ROOT.glob("docs/*/*.md"), *ROOT.glob("docs/*/*.ipynb")]
    names = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in sources}
    assert len(names) > 30
    assert names - targets == set()


def test_links_lead_somewhere(built, pages):
    """Links to examples, sources and other files outside of docs/ too are pages of the site."""
    broken = []
    for page, tags in pages.items():
        for _, attributes in tags:
            for target in filter(None, (attributes.get("href"), attributes.get("src"))):
                url = urlsplit(target)
                file = built[0] / page if not url.path else (built[0] / page).parent / unquote(url.path)
                outside = url.scheme or url.netloc
                if not outside and page != "404.html" and not (file.is_file() or (file / "index.html").is_file()):
                    broken.append((page, target))
    assert broken == []


def test_reading_needs_no_network(built, pages):
    """Scripts, styles, fonts and pictures are files of the site: only links that are followed lead elsewhere."""
    loaded = [
        (page, attributes)
        for page, tags in pages.items()
        for tag, attributes in tags
        for target in (attributes.get("src"), attributes.get("href") if tag == "link" else None)
        if target and urlsplit(target).netloc
    ]
    assert loaded == []
    styles = "".join(path.read_text(encoding="utf-8") for path in built[0].rglob("*.css"))
    assert re.findall(r"url\(['\"]?https?:[^)]*\)|@import[^;]*", styles) == []


def test_sources_are_shown(built):
    """A linked file is shown as it is, in colours."""
    page = (built[0] / "source/examples/cartpole.toml.html").read_text(encoding="utf-8")
    assert 'class="highlight"' in page
    assert "CartPole-v1" in page


def test_pictures_have_a_text(pages):
    """Each picture says in words what it shows."""
    bare = [(page, a) for page, tags in pages.items() for tag, a in tags if tag == "img" and not a.get("alt")]
    assert bare == []


def test_search_finds_all_pages(built):
    """The index of the search has every page."""
    index = (built[0] / "search/search_index.json").read_text(encoding="utf-8")
    assert '"location":"reference/components.html#ppo"' in index.replace('": "', '":"')
