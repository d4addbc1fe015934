"""The tables of docs/performance.md, written from a results file, so that the page cannot say anything else.

python -m benchmarks.tables [FILE.json] writes them between the page's markers, <!-- table: NAME --> and <!-- end -->,
and names the file in <!-- results: FILE.json -->. Without a file it takes this machine's.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import results

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_SLOT = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SOURCE = re.compile(r"<!-- results: ([\w.-]*) -->")
_NAMES = {"ours": "**this trainer**", "plain": "PyTorch + torchvision", "lightning": "Lightning", "timm": "timm"}
_SETTINGS = {"default": "defaults", "best": "at its best", "again": "defaults, images kept by an earlier run"}


def fill(page: str, content: dict[str, Any]) -> str:
    """The page with each table drawn anew. A section that was not measured leaves a line that says so."""
    return _SLOT.sub(lambda slot: f"{slot[1]}{shown(content, slot[2])}\n{slot[3]}", page)


def shown(content: dict[str, Any], name: str) -> str:
    """One table, or all of the peers', in Markdown."""
    draw = {
        "machine": _machine,
        "peers": _peers,
        "ratios": _ratios,
        "photographs": lambda content: _training(content, "photographs"),
        "fashion": lambda content: _training(content, "fashion"),
        "feeding": _feeding,
        "bench": lambda content: _plain(content["bench"]),
        "scaling": lambda content: _plain(content["scaling"]),
        "step": lambda content: _plain(content["step"]),
        "precision": lambda content: _plain(content["precision"]),
    }[name]
    try:
        return draw(content)
    except KeyError as missing:
        return f"Not measured on this machine yet: {missing.args[0]}."


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(section: dict[str, Any]) -> str:
    return table(section["heads"], section["rows"])


def _machine(content: dict[str, Any]) -> str:
    about = content["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB; {about['system']}; {versions}."


def _peers(content: dict[str, Any]) -> str:
    works = content["peers"]["rows"]
    parts = [f"{work}\n\n{shown(content, work)}" for work in works]
    return "\n\n".join([*parts, _ratios(content)])


def _ratios(content: dict[str, Any]) -> str:
    rows = []
    for ratio in content["peers"]["ratios"]:
        if "noise" in ratio:
            reached = f"{ratio['ours']:.3f} against {ratio['highest']:.3f}"
            good = ratio["ours"] >= ratio["highest"] - ratio["noise"]
            rows.append([ratio["what"], "the highest", reached, f"within {ratio['noise']:.3f}", _met(good)])
            continue
        reached = f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['greatest']:.2f})"
        low = ratio["at_most"]
        good = ratio["median"] <= ratio["target"] if low else ratio["median"] >= ratio["target"]
        aim = f"{'at most' if low else 'at least'} {ratio['target']:g}"
        rows.append([ratio["what"], _rival(ratio["rival"]), reached, aim, _met(good)])
    return table(["work", "against", "ratio (least to greatest)", "target", "met"], rows)


def _met(good: bool) -> str:
    return "yes" if good else "**no**"


def _rival(words: str) -> str:
    library, settings = words.split()
    return f"{_NAMES.get(library, library)}, {_SETTINGS[settings]}"


def _training(content: dict[str, Any], work: str) -> str:
    rows = [
        [
            _NAMES.get(row["library"], row["library"]),
            _SETTINGS[row["settings"]],
            _figures(row["wall_seconds"], ".1f"),
            _figures(row["cpu_seconds"], ".0f"),
            _figures(row["peak_mib"], ".0f"),
            _figures(row["accuracy"], ".3f"),
        ]
        for row in content["peers"]["rows"][work]
    ]
    heads = ["", "settings", "wall, s", "CPU, s", "peak memory, MiB", "validation accuracy"]
    return table(heads, rows)


def _feeding(content: dict[str, Any]) -> str:
    rows = [
        [
            _NAMES.get(row["library"], row["library"]),
            _SETTINGS[row["settings"]],
            _figures(row["first"], ".0f"),
            _figures(row["later"], ".0f"),
        ]
        for row in content["peers"]["rows"]["feeding"]
    ]
    return table(["", "settings", "images/s, first epoch", "images/s, later epochs"], rows)


def _figures(figure: dict[str, float], form: str) -> str:
    return f"{figure['median']:{form}} ({figure['least']:{form}} to {figure['greatest']:{form}})"


def source(page: str) -> Path:
    """The results file that the page says it was written from."""
    named = _SOURCE.search(page)
    assert named, "the page has lost its line <!-- results: FILE.json -->"
    return results.FOLDER / named[1]


def main() -> None:
    file = Path(sys.argv[1]) if sys.argv[1:] else results.path()
    page = _SOURCE.sub(f"<!-- results: {file.name} -->", PAGE.read_text())
    PAGE.write_text(fill(page, json.loads(file.read_text())))


if __name__ == "__main__":
    main()
