"""Runs that differ in data.fold and seed alone are repetitions of one: their mean and spread, and the best run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from trainer.sweep.results import REPETITIONS, Result, Standings


@dataclass(frozen=True)
class Repeated:
    """A set of repetitions."""

    values: tuple[str, ...]
    """Of the parameters, as said; empty for what was not said."""
    results: Sequence[Result]
    """Those that have a score."""
    runs: int
    """With those that have none."""
    scores: tuple[float, ...]

    def place(self, monitor: str) -> list[float]:
        """What sorts the best mean first; where it is the same, the best of the other score."""
        return [fmean(each) for each in zip(*(result.place(monitor) for result in self.results), strict=True)]

    @property
    def row(self) -> dict[str, str]:
        """mean, standard deviation (n - 1), least and greatest score."""
        scores = self.scores
        return {
            "runs": f"{len(scores)} of {self.runs}",
            "mean": f"{fmean(scores):.4f}" if scores else "-",
            "std": f"{stdev(scores):.4f}" if len(scores) > 1 else "-",
            "least": f"{min(scores):.4f}" if scores else "-",
            "greatest": f"{max(scores):.4f}" if scores else "-",
        }


def spreads(found: Standings) -> list[Repeated]:
    """The sets of repetitions, best mean first, group by group. None where no two runs are repetitions of one."""
    values = {each.run: tuple(each.said.get(key, "") for key in found.parameters) for each in found.results}
    runs = list(values.values())
    if len(set(runs)) == len(runs) or not repeated_over(found):  # a search may try the same values twice
        return []
    sets = []
    for group in found.groups:
        members: dict[tuple[str, ...], list[Result]] = {}
        for result in sorted(group.results, key=lambda each: int(each.run)):
            members.setdefault(values[result.run], []).append(result)
        of_group = [
            Repeated(said, results, runs.count(said), tuple(each.best[group.monitor] for each in results))
            for said, results in members.items()
        ]
        sets += sorted(of_group, key=lambda each: each.place(group.monitor))
    scored = {each.values for each in sets}
    return [*sets, *(Repeated(said, (), runs.count(said), ()) for said in dict.fromkeys(runs) if said not in scored)]


def best_of(found: Standings) -> Result | None:
    """The run to take: the one of rank 1, or the first repetition of the best mean over most repetitions.

    None where no run has a rank, or where there are several groups.
    """
    if len(found.groups) != 1:
        return None
    sets = spreads(found)
    if not sets:
        return found.groups[0].results[0]
    most = max(len(each.results) for each in sets)
    return next(each.results[0] for each in sets if len(each.results) == most)


def scores_like(result: Result, found: Standings) -> tuple[float, ...]:
    """The monitored scores of the run and its repetitions."""
    alike = [each.scores for each in spreads(found) if result in each.results]
    return alike[0] if alike else (result.best[result.ranked_by(found.monitor)],)


def repeated_over(found: Standings) -> str:
    """'data.fold and seed'"""
    return " and ".join(key for key in found.keys if key in REPETITIONS)
