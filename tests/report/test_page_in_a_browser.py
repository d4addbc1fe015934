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

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=4000"),
    *("--enable-logging=stderr", "--v=0"),
]
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
<script>addEventListener("message", told => { document.title = "LOOKED" + told.data })</script>
<iframe src="copy.html" style="width: WIDTHpx; height: 900px; border: 0"></iframe>"""
"""A window of a browser is no narrower than 500 pixels: a frame in it is as wide as a telephone."""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")


def looked_at(page: Path, width: int, profile: Path) -> dict[str, Any]:
    """What the browser makes of the page, which is let run the one script that looks; and what it complains of."""
    html = page.read_text(encoding="utf-8")
    assert 'http-equiv="Content-Security-Policy"' in html
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html).replace("</head>", f"{LOOK}</head>")
    page.with_name("copy.html").write_text(html, encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    told = [browse(page, profile), browse(frame, profile)]
    seen: dict[str, Any] = json.loads(unescape(re.findall(r"<title>LOOKED(.*?)</title>", told[1].stdout)[0]))
    seen["complaints"] = [line for each in told for line in each.stderr.splitlines() if "CONSOLE" in line]
    return seen


def browse(page: Path, profile: Path) -> "subprocess.CompletedProcess[str]":
    assert BROWSER is not None
    words = [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--window-size=1400,900", "--dump-dom", page.as_uri()]
    return subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_pages_whole(train: Callable[..., Ended], tmp_path: Path, width: int) -> None:
    for name in ("one", "two"):
        train(f"name={name}", "report=true", "data.images=200", f"optim.lr={0.01 if name == 'one' else 0.001}")
    outputs = tmp_path / "outputs"
    assert main(["compare", str(outputs / "one"), str(outputs / "two")]) == 0
    for page, most_images in ((outputs / "one" / "report.html", 100), (outputs / "compare.html", 12)):
        seen = looked_at(page, width, tmp_path / "profile")
        assert seen["complaints"] == []
        assert seen["broken"] == seen["flat"] == seen["asked"] == 0
        assert seen["charts"] >= 2 and seen["images"] <= most_images
        assert seen["width"] == width and seen["wide"] <= width
