"""The tables of docs/performance.md, written from the results files, so that the page cannot say anything else.

python -m benchmarks.tables writes them between the page's markers, <!-- table: NAME --> and <!-- end -->. A line
<!-- results: FILE.json --> opens the part of a machine: the tables below it, down to the next such line, are its own.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_SLOT = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_PART = re.compile(r"(<!-- results: ([\w.-]+) -->)")
_NAMES = {"ours": "**this trainer**", "plain": "PyTorch + torchvision", "lightning": "Lightning", "timm": "timm"}
_SETTINGS = {"default": "defaults", "best": "at its best", "again": "defaults, images kept by an earlier run"}


def fill(page: str, read: Callable[[str], dict[str, Any]] = results.read) -> str:
    """The page with each table drawn anew from its machine's file, which `read` finds by name.

    A section that was not measured there leaves a line that says so.
    """
    words, *parts = _PART.split(page)
    for opening, file, part in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        words += opening + _filled(part, read(file))
    return words


def _filled(part: str, content: dict[str, Any]) -> str:
    return _SLOT.sub(lambda slot: f"{slot[1]}{shown(content, slot[2])}\n{slot[3]}", part)


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
        "accuracy": lambda content: _plain(content["accuracy"]),
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


def main() -> None:
    PAGE.write_text(fill(PAGE.read_text()))


if __name__ == "__main__":
    main()
