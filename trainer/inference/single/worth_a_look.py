"""The images that are worth a look, where each has one label."""

from trainer.inference.mistakes import Doubt, Ranked, doubtful_labels, surest_mistakes
from trainer.inference.scored import MOST_SHOWN, Scored
from trainer.inference.single.scoring import Evaluation

_TRUSTED = 0.5
"""How far a model that may doubt labels stands between chance and perfection: below, the mistakes are its own."""


def mistakes_of(scored: Scored[Evaluation]) -> Ranked:
    """Sure and wrong, with the probability of the answer."""
    return surest_mistakes(scored.probabilities, scored.labels, MOST_SHOWN)


def cannot_doubt(scored: Scored[Evaluation]) -> str:
    """Why no label can be called wrong, in words; empty where one can."""
    if scored.has_learnt:
        return scored.has_learnt
    chance = 1 / len(scored.evaluation.classes)
    if (scored.evaluation.accuracy - chance) / (1 - chance) < _TRUSTED:
        return f"the model is right too seldom, in {scored.evaluation.accuracy:.0%}"
    return ""


def doubts_of(scored: Scored[Evaluation]) -> list[Doubt]:
    """The labels that are probably wrong; none is looked for where none can be called so."""
    return [] if cannot_doubt(scored) else doubtful_labels(scored.probabilities, scored.labels)
