import os

from markup import Page, check_page
from written_runs import write

from framework.report.html import page
from framework.report.run_videos import videos_of
from framework.studies.recorded_run import RecordedRun

MP4 = b"\x00\x00\x00\x18ftypmp42"


def run(tmp_path, **videos):
    folder = write(tmp_path / "run")
    (folder / "videos").mkdir()
    for name, data in videos.items():
        (folder / "videos" / name.replace("__", ".")).write_bytes(data)
    return RecordedRun(folder)


def test_videos_are_in_the_page(tmp_path):
    """The newest first; each is described, films can be played and have a caption track."""
    made = run(tmp_path, **{"update-00000001__gif": b"GIF89a", "update-00000002__mp4": MP4, "notes__txt": b"x"})
    read = check_page(page("p", videos_of([made], tmp_path / "report.html", 1000)))
    [(film, _)] = read.all("video")
    assert film["src"].startswith("data:video/mp4;base64,")
    assert film["aria-label"] == "Video of episodes: update-00000002"
    assert {"controls", "muted", "playsinline"} <= film.keys()
    assert [attributes["kind"] for attributes, _ in read.all("track")] == ["captions"]
    [(picture, _)] = read.all("img")
    assert picture["alt"] == "Video of episodes: update-00000001"
    assert [text.split(" ")[0] for _, text in read.all("figcaption")] == ["update-00000002", "update-00000001"]


def test_videos_beyond_the_limit_are_linked(tmp_path):
    """Relative to the page, so that folders can be moved together; smaller ones still find room."""
    made = run(tmp_path, a__mp4=b"x" * 10, b__mp4=b"x" * 100, c__mp4=b"x" * 80)
    read = Page(f"<div>{videos_of([made], tmp_path / 'pages' / 'report.html', 95)}</div>")
    assert [film["aria-label"][-1] for film, _ in read.all("video")] == ["c", "a"]
    assert [(link["href"], text) for link, text in read.all("a")] == [("./../run/videos/b.mp4", "b")]
    nothing = Page(f"<div>{videos_of([made], made.directory / 'report.html', 0)}</div>")
    assert [link["href"] for link, _ in nothing.all("a")] == ["./videos/c.mp4", "./videos/b.mp4", "./videos/a.mp4"]


def test_links_are_not_followed(tmp_path):
    """A run of somebody else could lead to any file of the reader's."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    made = run(tmp_path)
    (made.directory / "videos" / "a.mp4").symlink_to(secret)
    (made.directory / "videos" / "b.mp4").mkdir()
    os.mkfifo(made.directory / "videos" / "c.mp4")
    assert videos_of([made], tmp_path / "report.html", 1000) == ""
    other = RecordedRun(write(tmp_path / "other"))
    (other.directory / "videos").symlink_to(tmp_path)
    assert videos_of([other], tmp_path / "report.html", 1000) == ""


def test_names_of_files_are_text(tmp_path):
    """And may have what addresses give a meaning to."""
    made = run(tmp_path, **{'"><script>#?%.mp4': MP4, "javascript:alert(1).mp4": MP4})
    read = check_page(page("p", videos_of([made], made.directory / "report.html", 0)))
    assert [link["href"] for link, _ in read.all("a")] == [
        "./videos/javascript%3Aalert%281%29.mp4",
        "./videos/%22%3E%3Cscript%3E%23%3F%25.mp4",
    ]


def test_several_runs_are_told_apart(tmp_path):
    """By their directories; a run without videos has none."""
    made = run(tmp_path, a__mp4=MP4)
    other = RecordedRun(write(tmp_path / "other"))
    assert "run: a" in videos_of([made, other], tmp_path / "report.html", 1000)
    assert videos_of([other], tmp_path / "report.html", 1000) == ""
