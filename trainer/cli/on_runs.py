"""The verbs that work on runs that are there: how many places each wants, which are runs, and its options in words."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer.inference.place import check_place, check_records, existing_run


@dataclass(frozen=True)
class OnRuns:
    """What such a verb takes."""

    wants: str
    """Said where places are missing, or too many: what to name, and the command."""
    phrases: Mapping[str, str]
    """What each option does; 'key=VALUE' where the option's type does not tell what is to be said."""
    rooms: tuple[str, ...] = ()
    """Whose key=value it takes besides its options."""
    least: int = 1
    most: int = sys.maxsize
    """Places."""
    runs: int | None = None
    """How many of the places, from the first on, are runs; None is all of them."""
    check: Callable[[Path], object] = check_place
    """Raises CheckpointError where a place is no run."""


_PLUGINS = {
    "plugins=[MODULE,...]": "modules with parts of your own that the run is made of; nothing else of it is imported"
}
_DEVICE = "what computes; auto takes the fastest there is"
_TTA = "looks at each picture: none is one, flip adds its mirror image, crops are ten"

ON_RUNS: dict[str, OnRuns] = {
    "evaluate": OnRuns(
        "name a run: python -m trainer evaluate RUN [RUN ...] [split=test]",
        {
            "split": "which part of the pictures; without it the run's own val, or all of another set",
            "output=FOLDER": "where the scores go; without it evaluation/ in the folder of the first run",
            "tta": _TTA,
            "threshold": "with several labels: all are answered from this probability on, not each from its own",
            "device": "what computes; without it what the run was trained on, if that is here",
            **_PLUGINS,
        },
        rooms=("data",),
    ),
    "predict": OnRuns(
        "name a run and pictures: python -m trainer predict RUN PICTURE|FOLDER|ARCHIVE ... (- reads a list of paths)",
        {
            "output=FILE": "where the answers go, as its ending says: .csv, .jsonl, or .txt for a table; "
            "without it they are printed",
            "format": "how answers are written; without it a table on a terminal, and csv into a pipe",
            "topk": "how many classes are told of each picture, likeliest first (default 3)",
            "threshold": "below this probability the answer is 'unsure'; a column 'likeliest' still names the class; "
            "with several labels it stands in place of their own thresholds",
            "sort=FOLDER": "a folder that gets a link to each picture, in a folder for each answer",
            "copy": "with sort: copies in place of links",
            "on_error": "what follows from pictures that cannot be read: report ends with exit code 3, skip with 0",
            "tta": _TTA,
            "calibrated": "divide by the temperature that evaluate has stored, so that it is as sure as it is right",
            "engine": "what works the network out; auto takes whichever is sooner done",
            "device": _DEVICE,
            **_PLUGINS,
        },
        least=2,
        runs=1,
    ),
    "export": OnRuns(
        "name one run: python -m trainer export RUN format=onnx output=FILE.onnx",
        {
            "format": "an ONNX file, a program that torch.export.load reads, or (safetensors or hub) a folder for the "
            "Hugging Face hub; without it onnx, or with hub=OWNER/NAME the folder",
            "preprocess": "inside: it takes RGB pictures of any size; outside: what the network sees",
            "quantize": "int8: layers in whole numbers of 8 bits, for format=onnx; what that costs is told",
            "calibrated": "with the temperature that evaluate has stored",
            "output=FILE": "the file, or with format=hub the folder; without it export/ in the run's folder",
            "hub=OWNER/NAME": "uploads that folder to this repository, with the login of huggingface_hub",
            "public": "with hub: everybody may see the repository; without it it is private",
            **_PLUGINS,
        },
        rooms=("data",),
        most=1,
    ),
    "compare": OnRuns(
        "name two runs at least: python -m trainer compare RUN RUN [output=FILE.html]",
        {"output=FILE": "the page; without it compare.html in the folder that holds all the runs"},
        least=2,
        check=existing_run,
    ),
    "doctor": OnRuns(
        "name a run, or another tool's CSV of scores: python -m trainer doctor RUN|FILE.csv",
        {
            "format": "json: one list, for programs",
            "classes": "how many classes a CSV file is about, by which chance is known",
        },
        check=check_records,
    ),
    "report": OnRuns(
        "name a run: python -m trainer report RUN",
        {"output=FILE": "the page; without it report.html in the run's folder", **_PLUGINS},
        check=existing_run,
    ),
}  # fmt: skip
