"""What a release of torch cannot do on mps is left out in words, or refused."""

import pytest
import torch

from trainer.build.gaps import without_gaps
from trainer.cli.compose import Origin, compose
from trainer.config import Config, conf_folder
from trainer.errors import ConfigError

MPS = torch.device("mps")


def config(*words: str) -> Config:
    return compose(list(words), Origin(conf_folder()))


@pytest.mark.parametrize(("release", "acts"), [("2.13.1", False), ("2.14.0", True), ("2.14.1+cpu", True)])
def test_channels_last_is_off_on_mps_until_batch_norm_is_right_and_that_is_told(
    release: str, acts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", release)
    suited, notes = without_gaps(config(), MPS)
    assert suited.settings.channels_last is acts
    told = ("channels_last: before torch 2.14 batch norm is wrong with it on mps, so it is off.",)
    assert notes == (() if acts else told)


def test_what_nobody_asks_for_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.10.0")
    assert without_gaps(config("channels_last=false"), MPS)[1] == ()
    assert without_gaps(config(), torch.device("cuda")) == (config(), ())


def test_a_warp_without_a_border_is_refused_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = config("aug=strong", "aug.padding=border")
    monkeypatch.setattr(torch, "__version__", "2.12.0")
    with pytest.raises(ConfigError, match=r"^aug\.padding: on mps torch has border from 2\.13 on\. Use aug\.padding="):
        without_gaps(asked, MPS)
    monkeypatch.setattr(torch, "__version__", "2.13.0")
    without_gaps(asked, MPS)
