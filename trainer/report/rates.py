"""The picture of a rate search: the loss over the rate, and what was read from it."""

from collections.abc import Sequence
from pathlib import Path

from trainer.engine.rate_search import Findings


def draw_rates(rates: Sequence[float], losses: Sequence[float], findings: Findings, picture: Path, title: str) -> None:
    """Draws the picture. rates: one for each loss. What lies far above the first losses is cut off."""
    from matplotlib.figure import Figure  # slow to import, and needed once

    smoothed = findings.smoothed
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, ".", color="0.65", markersize=4, label="each step")
    axes.plot(rates[: len(smoothed)], smoothed, color="tab:blue", label="smoothed")
    if findings.works is not None:
        low, high = findings.works
        axes.axvspan(low, high, color="tab:green", alpha=0.12, lw=0, label=f"works: {low:.2g} to {high:.2g}")
    if findings.suggestion is not None:
        axes.axvline(findings.suggestion, color="tab:green", label=f"suggested: {findings.suggestion:.2g}")
    if findings.diverged is not None:
        axes.axvline(findings.diverged, color="tab:red", linestyle="--", label=f"diverges: {findings.diverged:.2g}")
    axes.set(xscale="log", xlabel="learning rate (optim.lr)", ylabel="training loss", title=title)
    if smoothed:
        least, most = min(losses[: len(smoothed)]), max(smoothed)
        reach = (most - least) or abs(most) or 1.0
        axes.set_ylim(least - reach / 10, most + reach / 2)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=9)
    figure.savefig(picture, dpi=100)
