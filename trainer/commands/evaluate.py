"""evaluate: runs scored on labelled pictures: per class, confusion, calibration, and the images worth a look."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trainer.commands.report import draw_again
from trainer.errors import CheckpointError, OutputError, visible
from trainer.inference.evaluation import evaluate_runs
from trainer.inference.saved import SavedRun, read_run
from trainer.inference.telling import names_of, tell
from trainer.inference.temperature import evaluations_of, write_temperature
from trainer.inference.written import check_writable, output_of, write
from trainer.report.console import Screen
from trainer.schema import Fraction, Tta


def run(
    places: Sequence[str],
    words: Sequence[str],
    *,
    split: Literal["train", "val", "test"] | None = None,
    output: str | None = None,
    tta: Tta = "none",
    threshold: Fraction | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] | None = None,
    plugins: list[str] | None = None,
) -> int:
    """Scores the runs at the places, tells what came out, and writes it. Returns 0.

    words: data=… and data.OPTION=…, for other pictures than the runs' own. split: None is the validation part of the
    runs' own data, and all of other pictures. output: a folder; None is evaluation/ in the folder of the first
    run. threshold: from which on all labels are answered where a picture may have several; None: each from its own.
    """
    runs = [read_run(Path(place).expanduser(), plugins or ()) for place in places]
    check_writable(Path(output).expanduser() if output is not None else evaluations_of(runs[0]))
    with Screen() as screen:
        scored = evaluate_runs(runs, words, split, tta, device, screen.counting, threshold)
    written = write(scored, output_of(scored, output))
    tell(scored)
    if scored.fitted is not None:
        try:
            written.append(write_temperature(runs[0], scored.fitted))
        except OutputError as error:  # a run that may only be read is scored all the same
            print(f"The temperature is not stored with the run: {error}")
    if output is None and len(runs) == 1 and tta == "none" and threshold is None:
        written += _page_again(runs[0], plugins or ())
    print(f"written: {names_of(written)}")
    return 0


def _page_again(run: SavedRun, plugins: Sequence[str]) -> list[Path]:
    """Draws the page of the run with what is known now, where it has one; the files that were written."""
    if run.folder is None or not run.config([]).settings.report:
        return []
    try:
        for line in draw_again(run.folder, run.folder.report, plugins):
            print(visible(line))
    except (CheckpointError, OutputError) as error:  # what was asked for is there, and a page cannot undo it
        print(visible(f"The page is not drawn again: {error}"))
        return []
    return [run.folder.report]
