"""The screenshots of a page in docs/, of a run on ants and bees or on whatever is named: python docs/pictures.py RUN.

Needs Chromium. The run is one that has ended; its page is drawn again first.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
SHOTS = {
    "report-light.png": (1120, 1500, "1"),
    "report-dark.png": (1120, 1500, "0"),
    "report-phone.png": (390, 1500, "1"),
}
"""File -> width, height, and the colours that are preferred: 0 is dark, 1 is light."""
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
FLAGS += "--disable-component-update --disable-sync --hide-scrollbars"


def main(run: Path) -> None:
    """Writes each of SHOTS into docs/, in few colours, so that it is small."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("docs/pictures.py needs Chromium: apt-get install chromium")
    subprocess.run([sys.executable, "-m", "trainer", "report", str(run)], check=True)
    page = (run / "report.html").absolute().as_uri()
    with tempfile.TemporaryDirectory() as profile:
        for name, (width, height, scheme) in SHOTS.items():
            words = [f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={DOCS / name}"]
            colours = f"--blink-settings=preferredColorScheme={scheme}"
            subprocess.run([browser, *FLAGS.split(), colours, *words, page], check=True, capture_output=True)
            Image.open(DOCS / name).convert("RGB").quantize(256).save(DOCS / name, optimize=True)
            print(DOCS / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
