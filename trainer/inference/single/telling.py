"""An evaluation for a person, where each picture has one label."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.table import Table
from rich.text import Text

from trainer.engine.metrics import same_loss
from trainer.errors import some, visible
from trainer.inference.scored import Scored
from trainer.inference.single.scoring import Evaluation, most_confused
from trainer.inference.single.worth_a_look import cannot_doubt, doubts_of, mistakes_of
from trainer.report.tables import print_table

_MOST_ROWS = 30
_WIDEST_CONFUSION = 20
_PAIRS = 5
_PATHS = 5


def tell(scored: Scored[Evaluation]) -> None:
    """Prints the scores, first things first."""
    evaluation = scored.evaluation
    if scored.members:
        print_table(_members(scored))
    for line in _scores(evaluation, scored.objective):
        print(line)
    print_table(_per_class(evaluation))
    if len(evaluation.classes) <= _WIDEST_CONFUSION:
        print_table(_confusion(evaluation))
    for line in (*_confused(evaluation), *_calibration(scored), *_worth_a_look(scored)):
        print(visible(line))


def left_out(unknown: Mapping[str, int]) -> str:
    """That there are such classes, with their images, which the run does not know."""
    of_them = f"left out of the scores with their {sum(unknown.values()):,} images"
    return f"classes that the run does not know, {of_them}: {some(list(unknown))}"


def lacking(missing: Sequence[str]) -> str:
    """That there are such classes, which a set does not have."""
    return f"classes of the run that these pictures do not have: {some(missing)}"


def _members(scored: Scored[Evaluation]) -> Table:
    table = Table("run", title="each run, and all together (the mean of their probabilities)")
    for heading in ("accuracy", "95%", "balanced", "nll", "calibration error"):
        table.add_column(heading, justify="right")
    rows = [*zip((str(run.path) for run in scored.runs), scored.members, strict=True), ("together", scored.evaluation)]
    for name, each in rows:
        figures = (_percent(each.accuracy), _interval(each, "accuracy"), _percent(each.balanced_accuracy))
        table.add_row(_text(name), *figures, f"{each.nll:.4f}", _percent(each.reliability.error))
    return table


def _scores(evaluation: Evaluation, objective: float | None) -> Iterator[str]:
    shares = {"accuracy": evaluation.accuracy, "balanced_accuracy": evaluation.balanced_accuracy}
    if len(evaluation.classes) > 5:
        shares = {"accuracy": evaluation.accuracy, "top5": evaluation.top5, **shares}
    words = {"accuracy": "accuracy", "top5": "among the first five", "balanced_accuracy": "balanced accuracy"}
    yield ", ".join(f"{words[key]} {_percent(share)}{_spread(evaluation, key)}" for key, share in shares.items())
    loss = f"loss as in training {evaluation.loss:.4f}, " if evaluation.loss is not None else ""
    if objective is not None and not same_loss(evaluation.loss, objective):
        loss += f"objective {objective:.4f}, "
    yield f"{loss}negative log-likelihood {evaluation.nll:.4f}, Brier score {evaluation.brier:.4f}"
    binary = evaluation.binary
    if binary and binary.roc_auc is not None and binary.f1_threshold is not None:
        yield visible(
            f"ROC-AUC {binary.roc_auc:.4f}, average precision {binary.average_precision:.4f}; the F1 of "
            f"{evaluation.classes[1]} is greatest where it is answered from {binary.f1_threshold:.3f} on"
        )


def _spread(evaluation: Evaluation, name: str) -> str:
    """In brackets, where the score lies on other images; or why none can be told."""
    if name in evaluation.intervals:
        return f" (95%: {_interval(evaluation, name)})"
    is_one = np.count_nonzero(evaluation.confusion.sum(axis=0)) == 1
    return " (one answer for every picture)" if is_one else ""


def _per_class(evaluation: Evaluation) -> Table:
    """All classes in their order; of many, those with the lowest F1."""
    rows = list(zip(evaluation.classes, evaluation.per_class, strict=True))
    title = "per class"
    if len(rows) > _MOST_ROWS:
        rows = sorted(rows, key=lambda row: -1.0 if row[1].f1 is None else row[1].f1)[:_MOST_ROWS]
        title = f"the {_MOST_ROWS} of {len(evaluation.classes):,} classes with the lowest F1; evaluation.json has all"
    table = Table("class", title=title)
    for heading in ("images", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    for name, scores in rows:
        shares = (scores.precision, scores.recall, scores.f1)
        table.add_row(_text(name), f"{scores.support:,}", *("-" if each is None else _percent(each) for each in shares))
    return table


def _confusion(evaluation: Evaluation) -> Table:
    table = Table("label", title="how many of each label (rows) got each answer (columns)")
    for name in evaluation.classes:
        table.add_column(_text(name), justify="right")
    for place, (name, row) in enumerate(zip(evaluation.classes, evaluation.confusion.tolist(), strict=True)):
        cells = [Text(f"{count:,}" if count else ".") for count in row]
        cells[place].stylize("bold")
        table.add_row(_text(name), *cells)
    return table


def _confused(evaluation: Evaluation) -> Iterator[str]:
    if pairs := most_confused(evaluation, _PAIRS):
        yield f"most often confused: {'; '.join(pairs)}"


def _calibration(scored: Scored[Evaluation]) -> Iterator[str]:
    evaluation = scored.evaluation
    sure = sum(each.images * (each.confidence or 0.0) for each in evaluation.reliability.bins) / evaluation.images
    gap = sure - evaluation.accuracy
    error = f"expected calibration error {_percent(evaluation.reliability.error)}"
    yield f"calibration: it is {_percent(sure)} sure on average and right in {_percent(evaluation.accuracy)}; {error}"
    if scored.fitted is not None:
        cure = "too sure" if scored.fitted.temperature > 1 else "not sure enough"
        before, after = f"{scored.fitted.nll_before:.4f}", f"{scored.fitted.nll_after:.4f}"
        yield (
            f"{scored.fitted.sentence()}: it was {cure}. Negative log-likelihood {before} before, {after} after, on "
            f"the very images that it was fitted on; predict and export use it with calibrated=true"
        )
    elif evaluation.temperature is not None:
        yield f"temperature {evaluation.temperature:.3f}, fitted on val before; it is not applied to these scores"
    elif not scored.members and abs(gap) > 0.05:
        yield "a temperature that mends it is fitted on the run's own val part: evaluate RUN split=val"


def _worth_a_look(scored: Scored[Evaluation]) -> Iterator[str]:
    paths, classes = scored.pictures.paths, scored.evaluation.classes
    answers = scored.probabilities.argmax(axis=1)
    mistakes = mistakes_of(scored)
    if len(mistakes.indices):
        yield "surest mistakes:"
    for image, sure in list(zip(mistakes.indices.tolist(), mistakes.values.tolist(), strict=True))[:_PATHS]:
        label, answer = classes[int(scored.labels[image])], classes[int(answers[image])]
        yield f"  {paths[image]}: {label}, taken for {answer} with {_percent(sure)}"
    why_not, doubts = cannot_doubt(scored), doubts_of(scored)
    yield f"labels that are probably wrong: {_found(why_not, len(doubts))}"
    for doubt in doubts[:_PATHS]:
        yield f"  {paths[doubt.image]}: labelled {classes[doubt.label]}, rather {classes[doubt.likely]}"


def _found(why_not: str, count: int) -> str:
    return f"not looked for, since {why_not}" if why_not else f"{count:,}"


def _interval(evaluation: Evaluation, name: str) -> str:
    if name not in evaluation.intervals:
        return "-"
    low, high = evaluation.intervals[name]
    return f"{100 * low:.2f} to {100 * high:.2f}"


def _percent(share: float) -> str:
    return f"{share:.2%}"


def _text(name: str) -> Text:
    """As it stands: no markup, no code."""
    return Text(visible(name))
