"""Pages in a real browser, where there is one."""

import shutil
import subprocess

import pytest
from written_runs import FINISHED, evaluation, update, write

from framework.report.run_report import write_report
from framework.report.style import DARK, LIGHT

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HEADLESS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
HEADLESS += ["--no-first-run", "--hide-scrollbars", "--enable-logging=stderr"]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_drawn_as_their_policy_allows(tmp_path, width, theme):
    """The stylesheet has its effect, in the reader's colours; the browser finds nothing to complain of."""
    image = pytest.importorskip("PIL.Image")
    lines = [update(1), evaluation(1), update(2), evaluation(2), update(3)]
    events = [{"event": "sampler_joined", "sampler": "</script><script>alert(1)</script>"}, FINISHED]
    folder = write(tmp_path / "run", lines, events)
    (folder / "videos").mkdir()
    (folder / "videos" / "a.gif").write_bytes(
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    )
    write_report([folder], folder / "report.html")
    picture = tmp_path / "page.png"
    command = [BROWSER, *HEADLESS, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}"]
    command += [f"--window-size={width},2000", f"--blink-settings=preferredColorScheme={'10'[theme == 'dark']}"]
    process = subprocess.run(
        [*command, (folder / "report.html").as_uri()], capture_output=True, text=True, timeout=110, check=True
    )
    assert "CONSOLE" not in process.stderr
    with image.open(picture) as drawn:
        assert drawn.size == (width, 2000)
        colour = "#{:02x}{:02x}{:02x}".format(*drawn.convert("RGB").getpixel((2, 2)))
    assert colour == {"light": LIGHT, "dark": DARK}[theme]["ground"]
