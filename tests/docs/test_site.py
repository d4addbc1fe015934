"""The documentation site is built without a warning, and asks no network for anything."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILDER = Path(sys.executable).with_name("zensical")


@pytest.mark.slow
@pytest.mark.skipif(not BUILDER.exists(), reason="needs the extra docs")
def test_the_site_is_built_strictly_and_asks_no_network(tmp_path: Path) -> None:
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    build = [str(BUILDER), "build", "--strict", "--clean"]
    ended = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=\"([^\"]*)|<link[^>]* href=\"([^\"]*)", html)
        assert not [each for pair in loaded for each in pair if "//" in each], page.name
