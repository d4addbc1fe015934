"""An evaluation for a person, where each picture has several labels, or none."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from trainer.engine.metrics import same_loss
from trainer.errors import some, visible
from trainer.inference.multi.scoring import Evaluation
from trainer.inference.multi.worth_a_look import cannot_doubt, doubts_of, mistakes_of
from trainer.inference.scored import Scored
from trainer.report.tables import print_table

_MOST_ROWS = 30
_PATHS = 5
_WORDS = {"map": "mean average precision", "micro_f1": "micro F1", "macro_f1": "macro F1", "exact_match": "exact match"}


def tell(scored: Scored[Evaluation]) -> None:
    """Prints the scores, first things first."""
    if scored.members:
        print_table(_members(scored))
    for line in _scores(scored.evaluation, scored.objective):
        print(line)
    print_table(_per_label(scored.evaluation))
    for line in (*_calibration(scored.evaluation), *_worth_a_look(scored)):
        print(visible(line))


def left_out(unknown: Mapping[str, int]) -> str:
    """That there are such classes, with the images that have them, which the run does not know."""
    told = [f"{name} ({count:,} image{'s' * (count != 1)})" for name, count in unknown.items()]
    return f"classes that the run does not know, left out of the scores: {some(told)}"


def lacking(missing: Sequence[str]) -> str:
    """That there are such classes, which a set does not have: whether its pictures show them is unknown."""
    return f"classes of the run that these pictures do not have, not scored: {some(missing)}"


def _members(scored: Scored[Evaluation]) -> Table:
    table = Table("run", title="each run, and all together (the mean of their probabilities, and of their thresholds)")
    for heading in (_WORDS["map"], "95%", _WORDS["micro_f1"], _WORDS["exact_match"], "nll", "calibration error"):
        table.add_column(heading, justify="right")
    rows = [*zip((str(run.path) for run in scored.runs), scored.members, strict=True), ("together", scored.evaluation)]
    for name, each in rows:
        shares = (_percent(each.map), _interval(each, "map"), _percent(each.micro_f1), _percent(each.exact_match))
        table.add_row(_text(name), *shares, f"{each.nll:.4f}", _percent(each.reliability.error))
    return table


def _scores(evaluation: Evaluation, objective: float | None) -> Iterator[str]:
    yield ", ".join(
        f"{words} {_percent(getattr(evaluation, key))}{_spread(evaluation, key)}" for key, words in _WORDS.items()
    )
    loss = f"loss as in training {evaluation.loss:.4f}, " if evaluation.loss is not None else ""
    if objective is not None and not same_loss(evaluation.loss, objective):
        loss += f"objective {objective:.4f}, "
    yield f"{loss}negative log-likelihood of a label {evaluation.nll:.4f}, Brier score {evaluation.brier:.4f}"


def _spread(evaluation: Evaluation, name: str) -> str:
    return f" (95%: {_interval(evaluation, name)})" if name in evaluation.intervals else ""


def _per_label(evaluation: Evaluation) -> Table:
    """All labels in their order; of many, those that are ranked worst."""
    rows = list(zip(evaluation.classes, evaluation.per_class, strict=True))
    title = "per label, each answered from its threshold on"
    if len(rows) > _MOST_ROWS:
        rows = sorted(rows, key=lambda row: -1.0 if row[1].average_precision is None else row[1].average_precision)
        rows = rows[:_MOST_ROWS]
        title = f"the {_MOST_ROWS} of {len(evaluation.classes):,} labels ranked worst; evaluation.json has all"
    table = Table("label", title=title)
    for heading in ("images", "average precision", "threshold", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    for name, scores in rows:
        shares = map(_percent, (scores.precision, scores.recall, scores.f1))
        ranked = _percent(scores.average_precision)
        table.add_row(_text(name), f"{scores.support:,}", ranked, f"{scores.threshold:.3f}", *shares)
    return table


def _calibration(evaluation: Evaluation) -> Iterator[str]:
    bins = evaluation.reliability.bins
    labels = sum(each.images for each in bins)
    given, there = (
        sum(each.images * (value or 0.0) for each, value in zip(bins, values, strict=True)) / labels
        for values in ([each.confidence for each in bins], [each.accuracy for each in bins])
    )
    error = f"expected calibration error {_percent(evaluation.reliability.error)}"
    yield f"calibration: a label has {_percent(given)} on average and is there in {_percent(there)}; {error}"


def _worth_a_look(scored: Scored[Evaluation]) -> Iterator[str]:
    paths, classes = scored.pictures.paths, scored.evaluation.classes
    mistakes = mistakes_of(scored)
    if mistakes:
        yield "surest mistakes:"
    for image, label in mistakes[:_PATHS]:
        what, but = ("missed", "") if scored.labels[image, label] > 0 else ("said", ", but not there")
        sure = _percent(float(scored.probabilities[image, label]))
        yield f"  {paths[image]}: {classes[label]} {what} with {sure}{but}"
    why_not, doubts = cannot_doubt(scored), doubts_of(scored)
    yield f"labels that are probably wrong: {f'not looked for, since {why_not}' if why_not else f'{len(doubts):,}'}"
    for doubt in doubts[:_PATHS]:
        is_labelled = scored.labels[doubt.image, doubt.label] > 0
        told = "labelled, and probably not there" if is_labelled else "not labelled, and probably there"
        yield f"  {paths[doubt.image]}: {classes[doubt.label]} {told}"


def _interval(evaluation: Evaluation, name: str) -> str:
    if name not in evaluation.intervals:
        return "-"
    low, high = evaluation.intervals[name]
    return f"{100 * low:.2f} to {100 * high:.2f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _text(name: str) -> Text:
    """As it stands: no markup, no code."""
    return Text(visible(name))
