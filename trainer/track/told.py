"""What trackers are told of a run, made of its records."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from PIL import Image

from trainer.config import flat
from trainer.engine.checkpoint import BEST
from trainer.records.folder import RunFolder
from trainer.report.page.pictures import read_pictures
from trainer.report.page.wordings import Wording, wording_of
from trainer.track.tracker import Outcome, Picture

_SECRET = re.compile(r"(?:^|[._-])(?:token|password|passwd|secret|credentials?|(?:api|access|private)_?key)s?$", re.I)
"""How the name of an option ends that nobody else may read."""
_IN_ADDRESS = re.compile(
    r"(?<=://)[^/\s]+(?=@)|(?<=[?&])(?:[\w-]*(?:token|sig|signature|credential|secret|password|key)=)[^&\s]*", re.I
)
"""What an address holds of the sort: the user, with a password maybe, and what proves that its reader may."""
_HIDDEN = "(hidden)"


def said(config: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """The config by dotted keys, as scalars: what is none of them stands as JSON. Secrets are hidden."""
    return {key: _scalar(_hiding(key, value)) for key, value in flat(config).items()}


def holds_secrets(config: Mapping[str, Any]) -> bool:
    """Whether something in it is hidden: the page and the weights have the config too, as it is."""
    return any(_HIDDEN in str(value) for value in said(config).values())


def numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a line of metrics.jsonl, named as there, behind its kind: epoch/val_loss, epoch/vitals/waited."""
    measured = {key: value for key, value in line.items() if key not in ("step", "epoch", "steps_per_epoch")}
    return dict(_numbers(line["kind"], measured))


def outcome_of(folder: RunFolder, status: str, step: int, *, with_page: bool, with_weights: bool) -> Outcome:
    """What the folder tells of a run that has ended so, after this step."""
    summary = folder.read_summary()
    scores = {f"{name}/{key}": value for name in ("best", "test") for key, value in _scores(summary.get(name))}
    best = folder.checkpoints / BEST
    return Outcome(
        status,
        step,
        scores,
        pictures=list(_pictures(folder, wording_of(summary.get("task", "single")))),
        page=folder.report if with_page and folder.report.exists() else None,
        weights=best if with_weights and best.exists() else None,
    )


def _hiding(key: str, value: Any) -> Any:
    if _SECRET.search(key) and value is not None:
        return _HIDDEN
    if isinstance(value, Mapping):
        return {name: _hiding(str(name), each) for name, each in value.items()}
    if isinstance(value, list):
        return [_hiding(key, each) for each in value]
    return _IN_ADDRESS.sub(_HIDDEN, value) if isinstance(value, str) else value


def _scalar(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value, ensure_ascii=False)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """The numbers below, by their paths; of a list by names, where its members have such, else by places."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _numbers(f"{name}/{key}", each)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _numbers(f"{name}/{each.get('name', place) if isinstance(each, Mapping) else place}", each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def _scores(scores: Any) -> Iterator[tuple[str, float]]:
    """The numbers of a part of the summary, without what is told class by class."""
    if isinstance(scores, Mapping):
        yield from ((key, float(each)) for key, each in scores.items() if type(each) in (int, float))


def _pictures(folder: RunFolder, wording: Wording) -> Iterator[Picture]:
    """The curves, and those of the page: what the model saw in training, and what it got wrong."""
    if folder.curves.exists():
        with Image.open(folder.curves) as curves:
            yield Picture("curves", "Losses, score and rate over the run", curves.convert("RGB"))
    kept = read_pictures(folder.pictures)
    for number, sample in enumerate(kept.samples, 1):
        for heading, (picture, words) in zip(kept.headings, sample.cells, strict=True):
            yield Picture(f"samples/{number} {heading}", f"{sample.label}, {heading} {words}".rstrip(), _drawn(picture))
    for number, mistake in enumerate(kept.mistakes, 1):
        caption = f"{mistake.path}: {''.join(words for words, _ in wording.caption(mistake))}"
        if mistake.picture:
            yield Picture(f"mistakes/{number}", caption, _drawn(mistake.picture))
        if mistake.map:
            yield Picture(f"mistakes/{number} map", caption, _drawn(mistake.map))


def _drawn(picture: str) -> Image.Image:
    """The picture that lies in a text of a page."""
    return Image.open(BytesIO(b64decode(picture.partition(",")[2]))).convert("RGB")
