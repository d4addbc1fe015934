"""The model card: what the network does, how good it was measured to be, how it was made, and where it fails."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from trainer.errors import visible
from trainer.inference.answering import answering_of
from trainer.inference.export.parity import Parity
from trainer.inference.saved import SavedRun
from trainer.inference.temperature import evaluations_of
from trainer.model.hub import ON_HUB
from trainer.records.folder import read_json
from trainer.size import Size

_MARKS = re.compile(r"([\\`*_\[\]#|~]|^[-+])")


@dataclass(frozen=True)
class Words:
    """What is said of a task."""

    answer: str
    """After 'It says'; {} is how many classes there are."""
    others: str
    """How it takes what it has not learnt."""
    logits: str
    """What it gives without what stands behind the network."""
    scores: Mapping[str, str]
    """Those of an evaluation, by their names in words, the task's own first; and those of each class, below."""
    of_class: Mapping[str, str]


_WORDS = {
    "single": Words(
        "which of {} classes a picture shows, and how sure it is",
        "a picture of anything else is given one of them, often a sure one",
        "logits",
        {"accuracy": "accuracy", "balanced accuracy": "balanced_accuracy", "calibration error": "ece"},
        {"precision": "precision", "recall": "recall", "F1": "f1"},
    ),
    "multi": Words(
        "which of {} labels a picture has, several or none, and how sure it is of each",
        "anything else goes without a label, or is taken for one of them",
        "logits, whose sigmoids are the probabilities",
        {
            "mean average precision": "map",
            "micro F1": "micro_f1",
            "macro F1": "macro_f1",
            "exact match (all labels of a picture right)": "exact_match",
            "calibration error": "ece",
        },
        {"average precision": "average_precision", "precision": "precision", "recall": "recall", "F1": "f1"},
    ),
}
_PARTS = {"test": "the test part", "val": "the validation part, which also chose the epoch"}


def card(run: SavedRun, name: str, parity: Parity, *, is_timm: bool, hub: str | None) -> str:
    """README.md of a published folder, in Markdown; name: the folder's; hub: of the repository that it goes to."""
    front = {
        "library_name": "timm" if is_timm else "trainer",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", *(["timm"] if is_timm else [])],
    }
    sections = {
        "What it does": _purpose(run),
        "How good it is": _quality(run, parity),
        "How it was trained": _training(run),
        "Classes": _classes(run),
        "Limits": _limits(run),
        "How to use it": _use(run, name, is_timm, hub),
    }
    text = [f"---\n{yaml.safe_dump(front, sort_keys=False)}---", f"# {shown(hub or name)}"]
    for title, lines in sections.items():
        text += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(text) + "\n"


def shown(text: str) -> str:
    """Text that Markdown and HTML show as it is: a name of a class or a file may hold anything."""
    return _MARKS.sub(r"\\\1", html.escape(visible(text), quote=False))


def _purpose(run: SavedRun) -> Iterator[str]:
    preprocessing, model = run.preprocessing, run.config(["model"]).parts["model"]
    colour = "grey" if preprocessing.frame.grey else "colour"
    arch = f" ({shown(str(model.options['arch']))})" if "arch" in model.options else ""
    yield (
        f"It says {_words(run).answer.format(len(run.classes))}. It is a {shown(model.name)}"
        f"{arch} that sees pictures in {colour}, at {_pixels(preprocessing.size)}."
    )


def _pixels(size: Size) -> str:
    return f"{size} pixels" if size.is_square else f"{size} pixels (height x width)"


def _quality(run: SavedRun, parity: Parity) -> Iterator[str]:
    """From the evaluations of these very weights, else from what training measured."""
    evaluations = {part: _evaluation(run, part) for part in _PARTS}
    told = False
    for part, scores in evaluations.items():
        if scores:
            told = True
            yield from _scores(run, scores, f"On {scores['images']:,} pictures of {_PARTS[part]}:")
    summary = run.folder.read_summary() if run.folder is not None else {}
    key, name = run.task.score, next(iter(_words(run).scores))
    if not told and summary.get("test"):
        told = True
        test = summary["test"]
        yield f"On the test part: {name} {_percent(test[key])}, loss {test['loss']:.4f}."
    if not told and summary.get("best"):
        told = True
        best = summary["best"]
        part = "test" if summary.get("validated_on") == "test" else "val"
        chose = "the test part, which also chose the epoch" if part == "test" else _PARTS["val"]
        score = _percent(best[f"val_{key}"])
        yield f"On {chose}: {name} {score}, loss {best['val_loss']:.4f} (epoch {run.epoch})."
    if not told:
        yield "Nothing was measured where this folder was written: the weights lay alone."
    yield ""
    yield f"Read back from this folder and compared with the run: {parity.sentence()}"


def _scores(run: SavedRun, scores: Mapping[str, Any], heading: str) -> Iterator[str]:
    words = _words(run)
    low, high = scores["intervals"].get(run.task.score, (None, None))
    spread = "" if low is None else f" (95% interval {_percent(low)} to {_percent(high)})"
    yield heading
    yield ""
    for name, key in words.scores.items():
        yield f"- {name} {_percent(scores[key])}{spread if key == run.task.score else ''}"
    yield ""
    yield f"| class | {' | '.join(words.of_class)} | pictures |"
    yield f"|{'---|' * (len(words.of_class) + 2)}"
    for name, each in scores["per_class"].items():
        figures = " | ".join(_percent(each[key]) for key in words.of_class.values())
        yield f"| {shown(name)} | {figures} | {each['support']} |"
    yield ""


def _training(run: SavedRun) -> Iterator[str]:
    about = read_json(run.folder.about) if run.folder is not None else {}
    for part in ("data", "model", "init", "loss", "optim", "sched", "finetune", "aug"):
        options = run.stored.get(part)
        if isinstance(options, Mapping) and options.get("name"):
            said = {key: value for key, value in options.items() if key not in ("name", "root", "file", "weights")}
            words = ", ".join(f"{key} {value}" for key, value in said.items() if value not in (None, "", [], {}))
            yield f"- {part}: {shown(str(options['name']))}" + (f" ({shown(words)})" if words else "")
    for key in ("epochs", "batch_size", "seed", "ema", "precision"):
        if key in run.stored:
            yield f"- {key}: {shown(str(run.stored[key]))}"
    model = run.stored.get("model")
    if isinstance(model, Mapping) and model.get("weights"):
        yield f"- it began from weights that had been trained before: {shown(str(model['weights']).split('/')[-1])}"
    if images := about.get("images"):
        yield "- images: " + ", ".join(f"{count:,} {part}" for part, count in images.items() if count)
    if fingerprint := about.get("fingerprint"):
        yield f"- fingerprint of the data: `{fingerprint}`"
    yield f"- the weights are those of epoch {run.epoch}, sha256 of their checkpoint `{run.sha256}`"


def _classes(run: SavedRun) -> Iterator[str]:
    thresholds = answering_of(run).told(run.classes).get("thresholds", {})
    for place, name in enumerate(run.classes):
        least = f", answered from {_percent(thresholds[name])} on" if name in thresholds else ""
        yield f"{place}. {shown(name)}{least}"


def _limits(run: SavedRun) -> Iterator[str]:
    preprocessing, share = run.preprocessing, run.preprocessing.frame.crop_share
    yield f"- It knows these classes only: {_words(run).others}."
    yield "- It was measured on pictures like those that it was trained on. With others, measure anew."
    yield "- Its probabilities are off by the calibration error above; where none stands there, none was measured."
    if preprocessing.frame.fit == "crop" or share < 1:
        kind = "central square" if preprocessing.size.is_square else "largest central part in its proportions"
        seen = f"the {kind} of a picture" if preprocessing.frame.fit == "crop" else "a picture"
        part = f"the central {share:g} of each side of " if share < 1 else ""
        yield f"- It sees {part}{seen}: what lies outside of it does not count."
    yield f"- Details that are lost at {preprocessing.size} pixels cannot be told."
    yield "- Nobody has said under which licence it may be used: whoever publishes it should."


def _use(run: SavedRun, name: str, is_timm: bool, hub: str | None) -> Iterator[str]:
    yield "```python\nimport trainer"
    if hub:
        yield f"from huggingface_hub import snapshot_download\n\nclassify = trainer.load(snapshot_download({hub!r}))"
    else:
        yield f"\nclassify = trainer.load({name!r})  # this folder"
    yield '\nprint(classify("picture.jpg")[0].name)\n```'
    if hub:
        model = shown(run.config(["model"]).parts["model"].name)
        yield ""
        yield f"Or to train on from it, with `model={model}` and its options above: `model.weights={ON_HUB}{hub}`."
    if is_timm:
        yield ""
        yield f"Or with timm, which resizes with its own transform and gives {_words(run).logits}:"
        yield ""
        place = f"{ON_HUB}{hub}" if hub else f"local-dir:{name}"
        yield f"```python\nimport timm\n\nmodel = timm.create_model({place!r}, pretrained=True).eval()\n```"


def _evaluation(run: SavedRun, part: str) -> dict[str, Any]:
    """The evaluation of these weights on a part of their data; nothing if there was none."""
    found = read_json(evaluations_of(run) / part / "evaluation.json")
    scored = [each.get("weights") for each in found.get("runs", [])]
    return found if scored == [run.sha256] else {}


def _words(run: SavedRun) -> Words:
    return _WORDS[run.task.name]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
