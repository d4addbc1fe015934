"""Recipes keep the form of their claims, compose, and are set beside what comes out."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace

import pytest
from shared import Ended

from benchmarks import recipes
from benchmarks.recipes import Claim, Outcome, claim_of
from trainer.cli.compose import Origin, compose
from trainer.config import Config, conf_folder

CLAIM = "93.3 % test accuracy at the last epoch (mean of 3 seeds, 93.31 to 93.36), 5 epochs, 9 min on one CPU core."
CLAIMED = Claim(93.3, 93.31, 93.36, seeds=3, epochs=5)
VARIANTS = [(name, variant) for name, variants in recipes.VARIANTS.items() for variant in variants]


@cache
def config_of(name: str, *words: str) -> Config:
    needed = [f"{key}=FOLDER" for key in recipes.NEEDS.get(name, {})]
    return compose([f"experiment={name}", *needed, *words], Origin(conf_folder()))


@pytest.mark.parametrize("name", recipes.recipes())
def test_a_recipe_opens_with_what_it_claims_or_says_that_it_claims_nothing(name: str) -> None:
    opening = recipes.recipes()[name]
    claim, config = claim_of(opening), config_of(name)
    if claim is not None:
        assert claim.least - 0.05 <= claim.middle <= claim.greatest + 0.05  # the mean may be rounded
        assert claim.epochs == config.settings.epochs
        tested = config.parts["data"].options["val"] == "test"
        assert ("test accuracy at the last epoch" in opening) == tested


@pytest.mark.parametrize("opening", ["About 93 %.", CLAIM.replace(" seeds", ""), "It claims a lot."])
def test_an_opening_that_is_neither_is_no_claim(opening: str) -> None:
    with pytest.raises(ValueError, match="neither a claim"):
        claim_of(opening)


def test_a_claim_is_read_as_it_stands() -> None:
    assert claim_of(CLAIM) == CLAIMED
    assert claim_of("It claims nothing yet. Something to try.") is None


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_variant_is_another_training_than_its_recipe(name: str, variant: str) -> None:
    assert config_of(name, *recipes.VARIANTS[name][variant]) != config_of(name)


def test_what_is_needed_and_varied_belongs_to_recipes() -> None:
    assert {*recipes.NEEDS, *recipes.VARIANTS} <= {*recipes.recipes()}


def told(monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> list[Sequence[str]]:
    """The words of each training that the recipes ask for, which comes to this outcome."""
    asked: list[Sequence[str]] = []

    def trained(words: Sequence[str]) -> Outcome:
        asked.append(words)
        return outcome

    monkeypatch.setattr(recipes, "trained", trained)
    return asked


def test_a_claim_is_set_beside_the_mean_and_the_range_over_its_seeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = told(monkeypatch, Outcome([93.2, 93.4, 93.3], [500.0, 510.0, 490.0]))
    recipes.main("fashion_mnist", "data.root=HERE")
    assert asked == [["experiment=fashion_mnist", "data.root=HERE", "seed=0,1,2"]]
    printed = capsys.readouterr().out
    assert "fashion_mnist | 93.30 (93.31 to 93.36) | 93.30 (93.20 to 93.40) |  | 500 | NO" in printed


@pytest.mark.parametrize(("accuracy", "kept"), [(93.30, "NO"), (93.31, "yes"), (94.0, "yes")])
def test_a_claim_is_kept_by_a_mean_no_worse_than_its_worst_seed(accuracy: float, kept: str) -> None:
    assert recipes.row("x", CLAIMED, Outcome([accuracy], [1.0]))[-1] == kept


def test_variants_are_trained_on_the_same_and_compared_with_the_recipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = told(monkeypatch, Outcome([50.0], [1.0]))
    recipes.main("noisy_labels", "epochs=1", "seed=4")
    common = ["experiment=noisy_labels", "epochs=1", "seed=4"]
    assert asked == [common, *([*common, *words] for words in recipes.VARIANTS["noisy_labels"].values())]
    assert "noisy_labels: mixup | - | 50.00 (50.00 to 50.00) | +0.00 | 1 | " in capsys.readouterr().out


def test_what_a_recipe_needs_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = told(monkeypatch, Outcome([50.0], [1.0]))
    monkeypatch.setenv("PHOTOS", "FOLDER")
    monkeypatch.setenv("WEIGHTS", "FILE")
    recipes.main("finetune", "seed=0")
    assert asked == [["experiment=finetune", "data.root=FOLDER", "model.weights=FILE", "seed=0"]]


def test_a_recipe_whose_data_are_not_there_is_listed_as_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = told(monkeypatch, Outcome())
    monkeypatch.delenv("PHOTOS", raising=False)
    recipes.main("waste_sorter")
    assert not asked and " | not run: say data.root=… or PHOTOS=… | " in capsys.readouterr().out


def test_a_name_that_is_no_recipe_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"There is no recipe smoek\. There is bag_of_tricks, "):
        recipes.main("smoek")


@pytest.fixture
def in_this_process(train: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe is trained without a process of its own."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:3] == [sys.executable, "-m", "trainer"]
        ended = train(*command[3:], tiny=False)
        return subprocess.CompletedProcess(command, ended.code, ended.out, ended.err)

    monkeypatch.setattr(recipes, "subprocess", SimpleNamespace(run=run))  # the trainer itself has compilers run


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("val", ["test", "0.1"])
def test_a_recipe_is_trained_once_a_seed_and_its_accuracies_are_those_of_the_runs(val: str) -> None:
    small = ("data.images=100", "data.size=12", "model.widths=[4,8]", "epochs=1", "device=cpu", f"data.val={val}")
    outcome = recipes.trained(["experiment=noisy_labels", *small, "seed=0,1"])
    assert len(outcome.accuracies) == len(outcome.seconds) == 2 and not outcome.reason
    assert all(accuracy in range(0, 101, 5) for accuracy in map(round, outcome.accuracies))  # 20 test images


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_a_training_that_fails_gives_its_reason() -> None:
    outcome = recipes.trained(["experiment=fashion_mnist", "data.root=nowhere", "seed=0"])
    assert "There is no train-images-idx3-ubyte" in outcome.reason
