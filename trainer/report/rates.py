"""What a search for a rate tells: a table for the terminal, and its picture."""

import math
from collections.abc import Iterator
from pathlib import Path

from trainer.engine.rate_search import Search, Trial


def table(found: Search, score: str) -> Iterator[str]:
    """One line a rate: the validation loss, and in brackets the score, that trainings of each length reached."""
    heads = ["rate", *(f"{steps} steps" for steps in found.lengths)]
    yield f"validation loss ({score}) after short trainings; {found.untrained:.4g} before any step:"
    yield "".join(f"{head:>19}" if number else f"{head:>9}" for number, head in enumerate(heads))
    reached = {(trial.rate, trial.steps): trial for trial in found.trials}
    for rate in sorted({trial.rate for trial in found.trials}):
        cells = [_cell(reached.get((rate, steps))) for steps in found.lengths]
        is_best = found.learns and rate == found.best.rate
        yield f"{rate:>9.2g}{''.join(f'{cell:>19}' for cell in cells)}{'  suggested' if is_best else ''}".rstrip()


def _cell(trial: Trial | None) -> str:
    if trial is None:
        return ""
    return f"{trial.loss:.4g} ({trial.score:.1%})" if math.isfinite(trial.loss) else "diverged"


def draw_rates(found: Search, picture: Path, title: str) -> None:
    """Draws the losses over the rates, a line for each length of training. Losses far above the untrained are cut."""
    from matplotlib.figure import Figure  # slow to import, and needed once

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for steps in found.lengths:
        sound = [trial for trial in found.round(steps) if math.isfinite(trial.loss)]
        axes.plot([trial.rate for trial in sound], [trial.loss for trial in sound], "o-", label=f"{steps} steps")
    diverged = sorted({trial.rate for trial in found.trials if not math.isfinite(trial.loss)})
    losses = [found.untrained, *(trial.loss for trial in found.trials if trial.loss <= 2 * found.untrained)]
    low, high = min(losses), max(losses)
    reach = (high - low) or high or 1.0
    if diverged:
        axes.plot(diverged, [high + reach / 10] * len(diverged), "x", color="tab:red", label="diverged")
    axes.axhline(found.untrained, color="0.65", linestyle="--", label="before any step")
    if found.learns:
        axes.axvline(found.best.rate, color="tab:green", label=f"suggested: {found.best.rate:.2g}")
    axes.set(xscale="log", xlabel="learning rate (optim.lr)", ylabel="validation loss", title=title)
    axes.set_ylim(low - reach / 10, high + reach / 5)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=9)
    figure.savefig(picture, dpi=100)
