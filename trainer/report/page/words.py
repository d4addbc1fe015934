"""What a page says in whole sentences, for one who has never trained a classifier."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.report.page.facts import RunFacts
from trainer.report.page.scores import Scores, part_of
from trainer.report.page.wordings import Wording
from trainer.system.elapsed import duration

_FEW_IMAGES = 100
_FAR = 4.0
"""How many times too sure, or too unsure, hardly any model is: a temperature beyond it has found something else."""
_NO_SHARES = ("ROC-AUC", "log loss", "Brier score")
_HEADLINES = ("test", "validation")
"""The parts whose accuracy stands above all else."""
_BEFORE_ITS_END = {"stopped": "stopped", "failed": "broken off", "pruned": "pruned by its search,"}


def verdict(facts: RunFacts) -> str:
    """The outcome in a sentence."""
    if not facts.scores:
        return _unfinished(facts)
    scores, wording = facts.scores[0], facts.wording
    return wording.no_better(scores) or wording.outcome(scores)


def small_print(facts: RunFacts) -> list[str]:
    """How far the outcome can be trusted, and how the run ended."""
    lines = []
    if facts.scores:
        scores, wording = facts.scores[0], facts.wording
        between, chosen = "", wording.chosen(facts.config)
        if scores.interval:
            low, high = scores.interval
            between = f": on other pictures of the same kind expect {wording.EXPECT}{100 * low:.1f} to {high:.1%} (95%)"
        images = f"{scores.images:,} {part_of(scores)} images" if scores.images else f"the {part_of(scores)} images"
        lines.append(f"Measured on {images}{between}.")
        if facts.summary.get("validated_on") == "test":
            lines.append(f"{chosen} chosen on the test images, so there is no independent test result.")
        elif scores.part == "validation":
            lines.append(f"{chosen} chosen on the same images: on new ones it may be a little less.")
        if 0 < scores.images < _FEW_IMAGES:
            what = wording.TASK.right_in_words
            lines.append(f"{scores.images} images are few: one of them is {1 / scores.images:.1%} of the {what}.")
        lines += wording.meaning(scores)
    summary = facts.summary
    if how := _BEFORE_ITS_END.get(summary.get("status", "")):
        lines.append(f"The run was {how} before its end.")
    if facts.outdated:
        names = ", ".join(facts.outdated)
        lines.append(f"It was trained on since it was evaluated ({names}): evaluate it again.")
    return lines


def cards(facts: RunFacts) -> list[tuple[str, str]]:
    """A few figures, each with what it is."""
    summary, best = facts.summary, facts.summary.get("best") or {}
    own = [scores for scores in facts.scores if scores.pictures in _HEADLINES]
    name = facts.wording.TASK.score_in_words
    found = [(f"{scores.score:.1%}", f"{name}, {part_of(scores)}") for scores in own]
    if best:
        found.append((f"{best['epoch']} of {summary['epochs']}", "best epoch"))
        if best.get("val_loss") is not None:
            found.append((f"{best['val_loss']:.3f}", "validation loss"))
    images = facts.about.get("images") or {}
    if images:
        found.append((f"{images.get('train', 0):,}", "training images"))
    if facts.about.get("parameters"):
        found.append((_short(facts.about["parameters"]), "parameters"))
    if summary.get("seconds"):
        found.append((duration(summary["seconds"]), "computing time"))
    return found


def reading_of_calibration(scores: Scores, wording: Wording) -> str:
    """Whether it is as sure as it is right."""
    images = sum(count for _, _, count, _, _ in scores.bins)
    if not images:
        return ""
    sentence = wording.calibration(scores)
    if scores.temperature is not None:
        sentence += f" calibrated=true divides its logits by a temperature of {scores.temperature:.2f}."
        if doubt := doubt_of_temperature(scores.temperature, images if scores.part == "validation" else None):
            sentence += f" Do not rely on that: {doubt}."
    return sentence


def doubt_of_temperature(temperature: float, images: int | None) -> str:
    """Why it is not to be trusted; empty where nothing speaks against it. images: that it was fitted on, if known."""
    reasons = []
    if images is not None and images < _FEW_IMAGES:
        reasons.append(f"{images:,} images are few to fit it on")
    if not 1 / _FAR <= temperature <= _FAR:
        reasons.append(f"it is outside of {1 / _FAR:g} to {_FAR:g}")
    return " and ".join(reasons)


def others(scores: Scores) -> list[tuple[str, str]]:
    """More scores of an evaluation, each with its name."""
    return [
        (name, f"{value:.4f}" if name in _NO_SHARES else f"{value:.1%}")
        for name, value in (scores.others or {}).items()
    ]


def footer(facts: RunFacts) -> str:
    """With what it was made."""
    about, names = facts.about, [facts.config.get(room) for room in ("model", "data")]
    model, data = (str(each.get("name")) if isinstance(each, Mapping) else "?" for each in names)
    versions = about.get("versions") or {}
    made_by = f"trainer {versions.get('trainer', '?')}, torch {versions.get('torch', '?')}"
    where = f"{about.get('precision', '?')} on {about.get('device', '?')}"
    return f"{model} on {data}, {where}; {made_by}; {about.get('processor', '')}"


def pairs_in_words(scores: Scores, most: int = 6) -> list[str]:
    """'“cat” taken for “dog”: 12 of 100' for what is confused most."""
    per_class: Mapping[str, Mapping[str, Any]] = scores.per_class or {}
    sentences = []
    for label, answer, count in scores.pairs[:most]:
        support = per_class.get(label, {}).get("support")
        sentences.append(f"“{label}” taken for “{answer}”: {count:,}" + (f" of {support:,}" if support else ""))
    return sentences


def commands(facts: RunFacts) -> Sequence[tuple[str, str]]:
    """What can be done with the run, and the words to do it with."""
    summary, path = facts.summary, str(facts.folder.path)
    quoted, resume = shlex.quote(path), shlex.quote(f"resume={path}")
    more = f"epochs={2 * summary['epochs_planned']}" if summary.get("epochs_planned") else "epochs=MORE"
    further = [("Go on training", f"python -m trainer {resume} {more}")]
    if summary.get("status") != "finished":
        further = [("Go on where it stopped", f"python -m trainer {resume}")]
    elif summary.get("probe"):
        further = []  # its one fit is done
    again = ("Run it again", f"python -m trainer --config-path {quoted} name=again")
    if summary.get("status") == "failed" and not (facts.folder.path / "checkpoints").is_dir():
        mended = next((f" {shlex.join(each.words.split())}" for each in facts.findings if each.words), "")
        return [(again[0], again[1] + mended)]  # it left no weights to do anything with
    return [
        ("Name pictures with it", f"python -m trainer predict {quoted} PICTURES"),
        ("Measure it, class by class", f"python -m trainer evaluate {quoted}" + _split(facts)),
        ("Hand it to another program", f"python -m trainer export {quoted} format=onnx"),
        *further,
        again,
    ]


def _split(facts: RunFacts) -> str:
    return " split=test" if (facts.about.get("images") or {}).get("test") else ""


def _unfinished(facts: RunFacts) -> str:
    if facts.summary.get("status") == "failed" and facts.epochs:
        return "The run failed before any of its weights were worth keeping."
    if facts.summary.get("status") == "failed":
        return "The run was broken off before an epoch was finished: there is nothing to show of it yet."
    return "The run has not finished an epoch: there is nothing to show of it yet."


def _short(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"
