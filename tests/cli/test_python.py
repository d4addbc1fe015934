"""The public face: load and train, from Python."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import trainer
from trainer.errors import ConfigError, OutputError

WORDS = ("data.images=96", "data.classes=3", "data.size=12", "model.widths=[4,8]", "batch_size=16", "epochs=1")


def test_the_public_names_are_these() -> None:
    assert trainer.__all__ == ["__version__", "load", "train"]
    assert callable(trainer.load) and callable(trainer.train)
    with pytest.raises(AttributeError, match="lode"):
        _ = trainer.lode  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "code", ["import trainer", "import trainer\ntry: trainer.train(['epochz=1'])\nexcept Exception: pass"]
)
def test_neither_the_import_nor_a_wrong_word_costs_the_import_of_torch(code: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "False\n"


def test_training_gives_the_run_back_in_a_thread_and_inside_another_hydra(tmp_path: Path) -> None:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    runs = []

    def work(name: str) -> None:
        runs.append(trainer.train([f"output={tmp_path}", f"name={name}", "device=cpu", "precision=fp32", *WORDS]))

    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        threads = [threading.Thread(target=work, args=[name]) for name in ("one", "other")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert GlobalHydra.instance().is_initialized()
    one, other = sorted(runs, key=lambda run: run.path.name)
    assert (one.path, one.summary["status"]) == (tmp_path / "one", "finished")
    assert one.summary["best"] == other.summary["best"]  # neither has drawn from the other's random numbers
    saved = [torch.load(run.path / "checkpoints" / "best.pt", weights_only=True)["model"] for run in (one, other)]
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])
    (answer,) = one.load()([np.zeros((20, 30, 3), np.uint8)])
    assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_errors_are_raised_and_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.yaml").write_text("")
    for words, error, said in (
        ([f"output={tmp_path}", "name=taken"], OutputError, "already holds a run"),
        (["epochz=1"], ConfigError, "Did you mean 'epochs'"),
        (["-m"], ConfigError, "neither verbs nor flags"),
        ("epochs=1", ConfigError, "as a list"),
    ):
        with pytest.raises(error, match=said):
            trainer.train(words)
    assert capsys.readouterr() == ("", "")
