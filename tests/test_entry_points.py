import zipfile
from importlib.metadata import distributions
from importlib.metadata import entry_points as reference
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from framework.entry_points import EntryPoint, entry_points, normalize

NAMES = st.text("abcdefgh_.-", min_size=1, max_size=8)
LINES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["", "  "]), NAMES, st.sampled_from(["=", " = ", "  ="]), NAMES).map("".join),
        st.sampled_from(["", "# a comment", "[wanted]", "[wanted.older]", "[wantedelse]", "[other]"]),
    ),
    max_size=12,
)


def distribution(folder: Path, name: str, version: str, entries: str, suffix: str = "dist-info") -> None:
    info = folder / f"{name}-{version}.{suffix}"
    info.mkdir(parents=True)
    metadata = "METADATA" if suffix == "dist-info" else "PKG-INFO"
    (info / metadata).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: a decoy\n")
    (info / "entry_points.txt").write_text(entries)


def test_agrees_with_importlib_on_this_environment():
    """The scripts of every installed distribution are those that the standard library finds."""
    scripts = {(entry.name, entry.value) for entry in entry_points("console_scripts")}
    assert scripts == {(entry.name, entry.value) for entry in reference(group="console_scripts")}
    assert len(scripts) > 3


@settings(derandomize=True, deadline=None, max_examples=60)
@given(LINES)
def test_reads_the_file_as_importlib_does(tmp_path_factory, lines):
    """Comments, blanks and spacing do not matter; groups below the wanted one are found, others are not."""
    folder = tmp_path_factory.mktemp("site")
    distribution(folder, "acme", "1.0", "[wanted]\n" + "\n".join(lines) + "\n")
    expected = {
        (entry.group, entry.name, entry.value)
        for entry in next(distributions(path=[str(folder)])).entry_points
        if entry.group in ("wanted", "wanted.older")
    }
    assert {entry[:3] for entry in entry_points("wanted", [str(folder)])} == expected


def test_tells_name_and_version(tmp_path):
    """Name and version are those of the metadata's head, for wheels and for eggs."""
    distribution(tmp_path, "Acme_Things", "1.0.post1", "[wanted]\na = acme")
    distribution(tmp_path, "egg", "2", "[wanted]\nb = egg:plugin", suffix="egg-info")
    assert sorted(entry_points("wanted", [str(tmp_path)])) == [
        EntryPoint("wanted", "a", "acme", "Acme_Things", "1.0.post1"),
        EntryPoint("wanted", "b", "egg:plugin", "egg", "2"),
    ]


def test_the_first_of_two_distributions_of_one_name_counts(tmp_path):
    """What is earlier on the path hides a later distribution of that name, also where it offers nothing."""
    for folder, version in (("first", "1"), ("second", "2")):
        distribution(tmp_path / folder, "acme", version, f"[wanted]\na = acme{version}")
    distribution(tmp_path / "first", "Quiet.One", "1", "[other]\na = quiet")
    distribution(tmp_path / "second", "quiet_one", "2", "[wanted]\nb = quiet")
    entries = entry_points("wanted", [str(tmp_path / "first"), str(tmp_path / "second")])
    assert [entry.value for entry in entries] == ["acme1"]


def test_reads_archives(tmp_path):
    """A zip file on the path is searched too."""
    distribution(tmp_path / "site", "acme", "3", "[wanted]\na = acme")
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        for file in (tmp_path / "site").rglob("*"):
            archive.write(file, file.relative_to(tmp_path / "site"))
    expected = [EntryPoint("wanted", "a", "acme", "acme", "3")]
    assert entry_points("wanted", [str(tmp_path / "site.zip")]) == expected


def test_survives_what_is_broken(tmp_path):
    """Missing folders, missing metadata and bytes that are no text stop nothing."""
    (tmp_path / "bare-1.0.dist-info").mkdir()
    info = tmp_path / "odd-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(b"\xff\xfe\n[wanted]\na = odd\n= \n\xff")
    entries = entry_points("wanted", [str(tmp_path / "missing"), str(tmp_path)])
    assert EntryPoint("wanted", "a", "odd", "odd", "?") in entries


def test_normalizes_names():
    """Runs of separators are one hyphen, letters are small."""
    assert {normalize(name) for name in ("Framework_RL", "framework-rl", "framework.-_RL")} == {"framework-rl"}
