"""From single measurements to the rows of the tables, and to the ratios that are held against the targets."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.peers.kept import Key
from benchmarks.peers.task import TASKS

Values = Mapping[Key, Mapping[str, Any]]
Contestant = tuple[str, str]
OURS = ("ours", "default")
_TRAINING = ("wall_seconds", "cpu_seconds", "peak_mib", "accuracy")
_FEEDING = ("first", "later")


def summarise(values: Values, real: bool) -> dict[str, Any]:
    """The section 'peers' of a results file. real: whether the photographs are cut from real ones."""
    works = list(dict.fromkeys(key[0] for key in values))
    return {
        "real_photographs": real,
        "rounds": 1 + max(key[3] for key in values),
        "tasks": {name: asdict(task) for name, task in TASKS.items()},
        "rows": {work: _rows(values, work) for work in works},
        "ratios": [ratio for work in works for ratio in _ratios(values, work)],
    }


def joined(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """The section with what was measured now, and what was measured before of other works."""
    if before is None:
        return now
    rows = {**before["rows"], **now["rows"]}
    others = [ratio for ratio in before["ratios"] if _work_of(ratio) not in now["rows"]]
    ratios = sorted([*others, *now["ratios"]], key=lambda ratio: list(rows).index(_work_of(ratio)))
    return {**before, **now, "rows": rows, "ratios": ratios}


def _work_of(ratio: Mapping[str, Any]) -> str:
    return str(ratio["what"]).split(",")[0]


def contestants(values: Values, work: str) -> list[Contestant]:
    """Those of a work, ours first."""
    found = sorted({(key[1], key[2]) for key in values if key[0] == work})
    return sorted(found, key=lambda each: each[0] != "ours")


def _rows(values: Values, work: str) -> list[dict[str, Any]]:
    names = _FEEDING if work == "feeding" else _TRAINING
    return [
        {
            "library": library,
            "settings": settings,
            **{name: _spread(_all(values, work, (library, settings), name)) for name in names},
        }
        for library, settings in contestants(values, work)
    ]


def _all(values: Values, work: str, who: Contestant, name: str) -> list[float]:
    return [value[name] for key, value in sorted(values.items()) if key[:3] == (work, *who)]


def _spread(figures: list[float]) -> dict[str, float]:
    return {"median": statistics.median(figures), "least": min(figures), "greatest": max(figures)}


def _ratios(values: Values, work: str) -> list[dict[str, Any]]:
    """Each target of this work with what was reached: medians over the rounds of ratios within a round."""
    others = [each for each in contestants(values, work) if each[0] != "ours"]
    if work == "feeding":
        return [
            _ratio(values, work, name, others, f"feeding, {what}", target, more=True)
            for name, what, target in (("first", "first epoch", 1.5), ("later", "from the second epoch on", 5.0))
        ]
    best, default = ([each for each in others if each[1] == settings] for settings in ("best", "default"))
    against_best = 1.25 if work == "photographs" else 2.5
    ratios = [_ratio(values, work, "wall_seconds", best, f"{work}, the fastest peer at its best", against_best)]
    if work == "photographs":
        ratios.append(_ratio(values, work, "wall_seconds", default, f"{work}, the fastest peer at its defaults", 2.0))
        memory = _ratio(values, work, "peak_mib", others, f"{work}, peak memory over the leanest peer's", 0.8)
        turned = {"median": memory["median"], "least": memory["greatest"], "greatest": memory["least"]}  # less is more
        ratios.append({**memory, **{name: 1 / ratio for name, ratio in turned.items()}, "at_most": True})
    return [*ratios, _accuracy(values, work, others)]


def _ratio(
    values: Values, work: str, name: str, others: Iterable[Contestant], what: str, target: float, more: bool = False
) -> dict[str, Any]:
    """How many times better we are than the best of the others. more: whether more is better."""
    sign = -1 if more else 1
    rival = min(others, key=lambda each: sign * statistics.median(_all(values, work, each, name)))
    pairs = zip(_all(values, work, OURS, name), _all(values, work, rival, name), strict=True)
    ratios = [ours / theirs if more else theirs / ours for ours, theirs in pairs]
    return {"what": what, "rival": " ".join(rival), **_spread(ratios), "target": target, "at_most": False}


def _accuracy(values: Values, work: str, others: Iterable[Contestant]) -> dict[str, Any]:
    """Our mean accuracy less the highest mean of the others', beside twice the standard error of such a difference.

    The highest of several means is high by chance, too; that is held against us.
    """
    ours = statistics.mean(_all(values, work, OURS, "accuracy"))
    highest = max(statistics.mean(_all(values, work, each, "accuracy")) for each in others)
    trials = TASKS[work].val * len(_all(values, work, OURS, "accuracy"))
    noise = 2 * math.sqrt(2 * highest * (1 - highest) / trials)
    return {"what": f"{work}, validation accuracy", "ours": ours, "highest": highest, "noise": noise}
