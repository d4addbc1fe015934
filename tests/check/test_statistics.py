"""Whether what pictures are normalised with fits them and the weights."""

from dataclasses import replace

import numpy as np
import pytest
from drawn import of_arrays

from trainer.check.statistics import of_statistics
from trainer.data.source import Figures, Source
from trainer.doctor.finding import Finding
from trainer.model.expects import Expects
from trainer.schema import Normalised

IMAGENET = Expects((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224, None, None, None, "its publisher")


def dark(normalise: Normalised = "mean_std", figures: Figures | None = None) -> Source:
    """Pictures of mean 0.2 and std 0.06."""
    levels = np.random.default_rng(0).normal(0.2, 0.06, (40, 8, 8, 3)) * 255
    source = of_arrays(levels.clip(0, 255).astype(np.uint8), [0, 1] * 20, ("cat", "dog"))
    return replace(source, normalise=normalise, figures=figures)


def told(source: Source, expects: Expects | None = None, method: str = "auto") -> dict[str, Finding]:
    return {each.rule: each for each in of_statistics(source, method, expects)}


@pytest.mark.parametrize("figures", [None, Figures((0.2,) * 3, (0.07,) * 3)], ids=["measured", "given"])
def test_figures_that_fit_are_no_finding(figures: Figures | None) -> None:
    assert told(dark("given" if figures else "mean_std", figures)) == {}


def test_given_figures_of_other_pictures_are_told_with_both() -> None:
    found = told(dark("given", Figures((0.5,) * 3, (0.25,) * 3)))["statistics_of_other_pictures"]
    assert found.severity == "warning"
    assert "mean 0.500 0.500 0.500" in found.evidence
    assert "mean 0.19" in found.evidence


def test_imagenets_figures_do_not_fit_dark_pictures() -> None:
    assert "statistics_of_other_pictures" in told(dark("imagenet"))


def test_pictures_that_are_not_normalised_are_a_note() -> None:
    assert told(dark("none"))["not_normalised"].severity == "note"


def test_measured_figures_beside_weights_that_expect_others_are_told_with_the_words_that_mend_it() -> None:
    found = told(dark(), IMAGENET)["statistics_of_other_weights"]
    assert found.words == "data.mean='[0.485,0.456,0.406]' data.std='[0.229,0.224,0.225]'"
    assert "its publisher" in found.evidence


def test_the_words_undo_a_normalisation_that_was_said() -> None:
    found = told(dark("none"), IMAGENET, "none")["statistics_of_other_weights"]
    assert found.words.startswith("data.normalise=auto data.mean=")


def test_the_weights_own_figures_are_no_finding_whatever_the_pictures() -> None:
    assert told(dark("given", Figures(IMAGENET.mean, IMAGENET.std)), IMAGENET) == {}
