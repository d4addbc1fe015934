"""How much of the differences between the scores of a sweep each parameter explains: Optuna's functional ANOVA."""

import math
from collections.abc import Sequence
from typing import Any

from trainer.report.page.parallel import is_logarithmic, numbers_of
from trainer.sweep.results import Standings

_FEWEST = 4
"""Runs: of fewer nothing can be told."""
NO_OPTUNA = "Which parameter matters most is told with Optuna. Install it: pip install 'trainer[sweep]'."


def importance_in_words(found: Standings) -> str:
    """The shares in a sentence; nothing where there is nothing to tell."""
    try:
        shares = importance(found)
    except ImportError:
        return NO_OPTUNA
    told = ", ".join(f"{share:.0%} by {key}" for key, share in shares.items())
    group = found.groups[0] if told else None
    return f"Over {len(group.results)} runs differences in {group.monitor} are explained to {told}." if group else ""


def importance(found: Standings) -> dict[str, float]:
    """Parameter -> its share, greatest first, in all 1; nothing where there is too little to tell it from.

    seed and data.fold are parameters too: theirs is the share of luck. Where all may be luck nothing is told.
    Raises ImportError without Optuna.
    """
    group = found.groups[0] if len(found.groups) == 1 else None
    results = [each for each in group.results if math.isfinite(each.best[group.monitor])] if group else []
    columns = {key: [each.said.get(key, "") for each in results] for key in found.keys}
    columns = {key: values for key, values in columns.items() if len(set(values)) > 1}
    if group is None or len(results) < _FEWEST or len(columns) < 2 or group.luck:
        return {}
    scores = [each.best[group.monitor] for each in results]
    return _explained(columns, scores) if len(set(scores)) > 1 else {}


def _explained(columns: dict[str, list[str]], scores: Sequence[float]) -> dict[str, float]:
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study()  # of runs that were not its own: shares have no direction
        values, kinds = {}, {}
        for key, said in columns.items():
            values[key], kinds[key] = _as_optuna_has(said)
        for place, score in enumerate(scores):
            params = {key: each[place] for key, each in values.items()}
            study.add_trial(optuna.create_trial(params=params, distributions=kinds, value=score))
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(study, evaluator=evaluator)
    except RuntimeError:  # hardly a score is another: its trees find nothing to tell apart
        return {}
    finally:
        optuna.logging.set_verbosity(verbosity)


def _as_optuna_has(said: Sequence[str]) -> tuple[list[Any], Any]:
    """The values and their distribution: a range of numbers where hardly one comes twice, or else choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numbers = numbers_of(said)
    if numbers is None or 2 * len(set(numbers)) <= len(numbers):
        return list(said), CategoricalDistribution(tuple(dict.fromkeys(said)))
    low, high = min(numbers), max(numbers)
    return numbers, FloatDistribution(low, high, log=is_logarithmic(numbers))
