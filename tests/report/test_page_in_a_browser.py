"""The pages in a real browser: nothing is amiss, nothing is asked of a network, and nothing is cut off."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from shared import Ended

from trainer.cli.main import main
from trainer.records.folder import RunFolder, write_json
from trainer.sweep.page import print_page

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=4000"),
    *("--enable-logging=stderr", "--v=0"),
]
WIDTHS = (390, 1280)
LOOK = """<script>addEventListener("load", () => {
  const size = each => { const box = each.getBoundingClientRect(); return box.width > 0 && box.height > 0 };
  const drawn = each => getComputedStyle(each.parentElement).display != "none";  // bars are not, on a telephone
  const images = [...document.images], charts = [...document.querySelectorAll("svg")].filter(drawn);
  parent.postMessage(JSON.stringify({
    width: innerWidth, images: images.length, charts: charts.length,
    broken: images.filter(each => !each.complete || !each.naturalWidth || !size(each)).length,
    flat: charts.filter(each => !size(each)).length,
    wide: document.documentElement.scrollWidth,
    asked: performance.getEntriesByType("resource").filter(each => !each.name.startsWith("data:")).length,
  }), "*")
})</script>"""
FRAME = """<!doctype html><link rel="icon" href="data:,">
<script>
  const seen = [], look = told => { seen.push(JSON.parse(told.data)); document.title = "LOOKED" + JSON.stringify(seen) }
  addEventListener("message", look)
</script>
""" + "".join(
    f'<iframe src="copy.html" style="width: {width}px; height: 900px; border: 0"></iframe>' for width in WIDTHS
)
"""A window of a browser is no narrower than 500 pixels: a frame in it is as wide as a telephone."""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")


def looked_at(page: Path, profile: Path) -> tuple[dict[int, dict[str, Any]], list[str]]:
    """What the browser makes of the page at each width, by the one script that it is let run; and its complaints."""
    html = page.read_text(encoding="utf-8")
    assert 'http-equiv="Content-Security-Policy"' in html
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html).replace("</head>", f"{LOOK}</head>")
    page.with_name("copy.html").write_text(html, encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME, encoding="utf-8")
    told = [browse(page, profile), browse(frame, profile)]
    seen = json.loads(unescape(re.findall(r"<title>LOOKED(.*?)</title>", told[1].stdout)[0]))
    complaints = [line for each in told for line in each.stderr.splitlines() if "CONSOLE" in line]
    return {each["width"]: each for each in seen}, complaints


def browse(page: Path, profile: Path) -> "subprocess.CompletedProcess[str]":
    assert BROWSER is not None
    words = [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--window-size=1400,900", "--dump-dom", page.as_uri()]
    return subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)


@pytest.mark.slow
def test_a_browser_shows_the_pages_whole(train: Callable[..., Ended], tmp_path: Path) -> None:
    for name, word in (("one", "optim.lr=0.01"), ("two", "optim.lr=0.001"), ("several", "task=multi")):
        train(f"name={name}", "report=true", "data.images=200", word)
    outputs = tmp_path / "outputs"
    assert main(["compare", str(outputs / "one"), str(outputs / "two")]) == 0
    sweep = outputs / "sweep"
    for number, (name, word) in enumerate((("one", "optim.lr=0.01"), ("two", "optim.lr=0.001"))):
        copied = RunFolder(shutil.copytree(outputs / name, sweep / str(number)))
        write_json(copied.summary, {**copied.read_summary(), "overrides": [word]})
    print_page(sweep, "val_accuracy")
    pages = [(outputs / "one/report.html", 100), (outputs / "several/report.html", 100)]
    pages += [(outputs / "compare.html", 12), (sweep / "sweep.html", 12)]
    for page, most_images in pages:
        seen, complaints = looked_at(page, tmp_path / "profile")
        assert complaints == [] and sorted(seen) == [*WIDTHS]
        for width, found in seen.items():
            assert found["broken"] == found["flat"] == found["asked"] == 0
            assert found["charts"] >= 2 and found["images"] <= most_images
            assert found["wide"] <= width
