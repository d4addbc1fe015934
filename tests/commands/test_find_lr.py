"""The verb find_lr: made-up curves with known answers, and searches on tiny data."""

import math
import random
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from shared import TINY, Ended, Poison

from trainer.build.training import Job, build
from trainer.cli.compose import Origin, compose
from trainer.cli.main import main
from trainer.config import conf_folder
from trainer.engine import loop
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import train_epoch
from trainer.engine.rate_search import divergence, losses_over, rising_rates, suggest

QUICK = (*(word for word in TINY if not word.startswith("model.")), "model=mlp", "model.width=16", "model.image_size=4")
"""With a network of a few hundred steps a second."""
CLEAR = (*QUICK, "batch_size=48", "aug=none")
"""With larger batches and plain images, so that the fall stands out of the noise."""
RATES = rising_rates(140)
DECADES = [math.log10(rate) for rate in RATES]


def job_of(*words: str) -> Job:
    return build(compose([*TINY, *words], Origin(conf_folder())), lambda *_: None)


def fall_around(place: float, steepness: float = 4) -> list[float]:
    """2.3 to the left, 0.5 to the right; at 10^place half of the fall is done."""
    return [0.5 + 1.8 / (1 + math.exp(steepness * (decade - place))) for decade in DECADES]


def valley(fall: float, rise: float, steepness: float = 4) -> list[float]:
    """Falls around 10^fall, and is torn upwards, a hundredfold a decade, from 10^rise on."""
    leap = [0.0 if decade < rise else 100 ** (decade - rise) - 1 for decade in DECADES]
    return [low + high for low, high in zip(fall_around(fall, steepness), leap, strict=True)]


def test_a_loss_that_is_lowest_at_the_lowest_rate_has_no_suggestion() -> None:
    assert suggest(RATES, [1 + 0.3 * (decade + 6) for decade in DECADES]).suggestion is None


def noisy(losses: Sequence[float], size: float, seed: int) -> list[float]:
    generator = random.Random(seed)
    return [loss + generator.gauss(0, size) for loss in losses]


def test_rates_rise_evenly_in_the_logarithm_over_one_epoch_of_steps_within_limits() -> None:
    for steps, count in ((6, 240), (300, 300), (5000, 400)):
        rates = rising_rates(steps)
        assert len(rates) == count and rates[0] == 1e-6 and rates[-1] == pytest.approx(10)
        assert all(after / before == pytest.approx(10 ** (7 / (count - 1))) for before, after in pairwise(rates))


def test_a_valley_gives_the_rate_by_which_half_of_the_fall_is_done() -> None:
    findings = suggest(RATES, valley(-3, -0.5))
    assert findings.suggestion == pytest.approx(1e-3, rel=0.3)
    assert findings.diverged is not None and 0.5 < findings.diverged < 2
    assert findings.works is not None
    low, high = findings.works
    assert 10**-4.2 < low < 10**-3.2 and 10**-1.8 < high < 10**-0.3


@pytest.mark.parametrize("seed", range(10))
def test_noise_moves_the_suggestion_by_less_than_half_a_decade(seed: int) -> None:
    suggestion = suggest(RATES, noisy(valley(-3, -0.5), 0.2, seed)).suggestion
    assert suggestion is not None and 10**-3.5 < suggestion < 10**-2.5


def test_a_suggestion_stays_a_tenth_below_the_divergence() -> None:
    findings = suggest(RATES, valley(-1.2, -0.7, steepness=20))
    assert findings.diverged is not None and 0.1 < findings.diverged < 0.6
    assert findings.suggestion == findings.diverged / 10


def test_a_loss_that_only_falls_has_a_suggestion_and_no_divergence() -> None:
    findings = suggest(RATES, fall_around(-2))
    assert findings.diverged is None and findings.suggestion == pytest.approx(1e-2, rel=0.3)


@pytest.mark.parametrize("level", [0.1, 2.3])
@pytest.mark.parametrize("seed", range(10))
def test_noise_alone_and_a_loss_that_only_rises_have_no_suggestion(level: float, seed: int) -> None:
    assert suggest(RATES, noisy([level] * len(RATES), level / 10, seed)).suggestion is None
    rising = [level + max(0.0, decade + 3) for decade in DECADES]
    assert suggest(RATES, rising).suggestion is None


@pytest.mark.parametrize("losses", [[math.nan], [2.3, math.inf], [2.3, 2.2, 40.0, 4000.0, 1e6, 1e8, 1e10, 1e12]])
def test_a_loss_that_diverges_at_once_has_no_suggestion(losses: list[float]) -> None:
    findings = suggest(RATES[: len(losses)], losses)
    assert findings.suggestion is None and findings.diverged is not None and findings.diverged < 2e-6


def test_the_loss_counts_as_diverged_where_the_mean_of_five_is_above_four_times_its_best() -> None:
    assert divergence([1.0] * 20) is None
    assert divergence([1.0] * 20 + [15.0] + [1.0] * 20) is None  # one batch: a mean of 3.8
    assert divergence([1.0] * 20 + [17.0] + [1.0] * 20) == 20
    assert divergence([1.0] * 20 + [math.nan]) == 20
    assert divergence([1.0] * 20 + [0.001] * 20 + [0.1] * 20) is None  # near perfection any batch is a multiple
    assert divergence([1.0] * 20 + [0.001] * 20 + [0.5] * 20) == 43


def test_the_losses_are_those_of_training_when_the_schedule_gives_these_rates() -> None:
    rates = [1e-3 * 1.2**step for step in range(15)]  # two epochs and a half
    searched = job_of("optim.lr=0.5", "optim.stage_decay=0.5")
    losses = list(losses_over(searched.state, searched.batches, searched.recipe, rates, epochs=2))
    job = job_of("optim.lr=1", "optim.stage_decay=0.5", "sched=constant")
    shares = [group["initial_lr"] for group in job.state.optimizer.param_groups]
    expected = []
    for step, rate in enumerate(rates):
        for group, share in zip(job.state.optimizer.param_groups, shares, strict=True):
            group["initial_lr"] = rate * share
        job.state.epoch = step // 6
        job.state.sums.zero_()
        next(train_epoch(job.state, job.batches, job.recipe, Interrupt()))
        loss, weight = job.state.sums.tolist()[:2]
        expected.append(loss / weight)
    assert losses == pytest.approx(expected, rel=1e-6)
    reached = sorted({group["lr"] for group in searched.state.optimizer.param_groups}, reverse=True)
    assert reached[:2] == pytest.approx([rates[-1], rates[-1] / 2])


def test_a_loss_that_jumps_to_no_number_is_none_from_there_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_groups", Poison([5]).groups(loop._groups))
    job = job_of()
    losses = list(losses_over(job.state, job.batches, job.recipe, RATES[:8], epochs=2))
    assert [math.isfinite(loss) for loss in losses] == [True] * 4 + [False] * 4
    assert min(losses[:4]) > 0 and divergence(losses) == 4


def test_after_a_step_that_a_scaler_leaves_out_the_next_one_takes_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_groups", Poison([1, 4, 5]).groups(loop._groups))
    job = job_of("on_nonfinite=skip")
    losses = []
    reached = []
    for loss in losses_over(job.state, job.batches, job.recipe, RATES[:8], epochs=2):
        losses.append(loss)
        reached.append(max(group["lr"] for group in job.state.optimizer.param_groups))
    assert reached == pytest.approx(RATES[:8]) and job.state.step == 8 + 3
    assert min(losses) > 0.1 and max(losses) < 10


@pytest.mark.parametrize("words", [(), ("on_nonfinite=skip",), ("precision=fp16",)])
def test_a_loss_that_is_no_number_from_the_start_is_told_so(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(loop, "_groups", Poison([*range(1, 60)]).groups(loop._groups))
    assert main(["find_lr", *TINY, f"output={tmp_path}", *words]) == 6
    assert capsys.readouterr().err.startswith("The loss leaves at a rate of 1e-06 already, so the rate is not at fault")


def test_the_search_learns_with_all_that_the_last_epoch_learns() -> None:
    job = job_of()
    entered = []
    recipe = replace(job.recipe, begin_epoch=lambda model, epoch: entered.append(epoch))
    list(losses_over(job.state, job.batches, recipe, RATES[:8], epochs=5))
    assert entered == [4, 4]


def test_it_says_a_rate_of_a_sensible_size_and_the_command_to_use_it(
    train: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["find_lr", *CLEAR, f"output={tmp_path}", "name=a b", "optim.lr=0.5"]
    monkeypatch.setattr("sys.argv", ["trainer", *words])
    assert main(words) == 0
    out = capsys.readouterr().out
    said = re.search(r"suggested: optim\.lr=(\S+)", out)
    assert said is not None and 1e-4 < float(said[1]) < 1e-1
    command = shlex.split(next(line for line in out.splitlines() if line.startswith("use it: "))[len("use it: ") :])
    assert command == ["python", "-m", "trainer", *CLEAR, f"output={tmp_path}", "name=a b", f"optim.lr={said[1]}"]
    assert train(*command[3:], tiny=False).code == 0


def test_the_same_seed_gives_the_same_answer_and_nothing_is_written_but_the_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = []
    for seed in (3, 3, 4):
        assert main(["find_lr", *CLEAR, "name=rates", f"seed={seed}"]) == 0
        answers.append(Path("outputs/find_lr/rates.png").read_bytes())
    assert answers[0] == answers[1] != answers[2]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "outputs/find_lr/rates.png"]
    with Image.open("outputs/find_lr/rates.png") as picture:
        assert picture.size == (800, 450)


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("init=zeros",), 1, "The loss falls at no learning rate from 1e-06 to 10"),
        (("optim.lrr=1",), 2, "Did you mean 'lr'?"),
        (("resume=auto", "name=x"), 2, "find_lr: resume cannot act"),
        (("data=folder", "data.root=nowhere"), 3, "nowhere"),
    ],
)
def test_what_cannot_be_found_is_told(
    words: tuple[str, ...], code: int, expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiny = [word for word in QUICK if not word.startswith("data.") or "data=folder" not in words]
    assert main(["find_lr", *tiny, f"output={tmp_path}", *words]) == code
    assert expected in capsys.readouterr().err
