"""Torture, rows 8 to 19 and 35: what a run is asked to go on from, and where it is to write."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shared import DAMAGES, TINY, Crash, Ended, Malice, Poison, fingerprint, flip_a_bit, lines_of

from trainer.cli.main import main
from trainer.engine import loop
from trainer.engine.checkpoint import FORMAT
from trainer.errors import both_lists
from trainer.records.folder import RunFolder, new_folder
from trainer.system import fault

Command = Callable[..., Ended]
Golden = Callable[..., None]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in its second epoch: last.pt is of step 8, previous.pt of step 6."""
    outputs = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINER_FAULT", "term@step=8")
        assert main([f"output={outputs}", *TINY, "name=x", "keep_every=1"]) == 143
    return outputs / "x"


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> Path:
    """A copy of that run."""
    return Path(shutil.copytree(begun, tmp_path / "outputs" / "x"))


@pytest.mark.row(8)
@pytest.mark.parametrize("place", ["file", "/proc", "locked"])
def test_an_output_that_cannot_be_written_is_told_before_any_data_are_looked_for(
    train: Command, tmp_path: Path, golden: Golden, place: str
) -> None:
    if place == "locked" and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "locked").mkdir(mode=0o555)
    ended = train(f"output={tmp_path / place}", "name=x", "data=folder", "data.root=nowhere", tiny=False)
    assert ended.code == 5
    golden(f"row08_{place.strip('/')}", ended.err)


@pytest.mark.row(10)
def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    moment = datetime(2026, 11, 22, 3, 4, 5)
    names = [new_folder(tmp_path, None, now=lambda: moment).path.name for _ in range(3)]
    assert names == ["03-04-05", "03-04-05-2", "03-04-05-3"]


def told(out: str) -> str:
    """What is said of the way on."""
    return "".join(f"{line}\n" for line in out.splitlines() if "is damaged" in line or "Goes on" in line)


@pytest.mark.slow
@pytest.mark.row(11)
def test_from_a_damaged_checkpoint_a_run_goes_on_with_the_one_before_and_says_so(
    train: Command, folder: Path, unbroken: Path, golden: Golden
) -> None:
    flip_a_bit(folder / "checkpoints" / "last.pt")
    ended = train("name=x", "resume=auto")
    assert ended.code == 0
    golden("row11_fallback", told(ended.out))
    assert told((folder / "train.log").read_text()) == told(ended.out)
    assert "last.pt is damaged" in str(lines_of(folder / "metrics.jsonl", "event")[-1]["damaged"])
    assert fingerprint(folder) == fingerprint(unbroken)


@pytest.mark.row(11)
@pytest.mark.parametrize("damage", DAMAGES[:-1])
def test_a_checkpoint_that_is_named_has_no_stand_in(
    train: Command, folder: Path, golden: Golden, damage: Callable[[Path], Any]
) -> None:
    damage(folder / "checkpoints" / "last.pt")
    ended = train(f"resume={folder / 'checkpoints' / 'last.pt'}", tiny=False)
    assert ended.code == 4
    golden("row11_named", ended.err)


@pytest.mark.slow
@pytest.mark.row(11)
def test_a_run_goes_on_from_the_very_checkpoint_that_is_named(train: Command, folder: Path, tmp_path: Path) -> None:
    ended = train(f"resume={folder / 'checkpoints' / 'previous.pt'}", tiny=False)
    assert ended.code == 0 and told(ended.out) == "Goes on after step 6, in epoch 2.\n"
    assert train("name=unbroken", "keep_every=1").code == 0
    assert fingerprint(folder) == fingerprint(tmp_path / "outputs" / "unbroken")


@pytest.mark.row(11)
def test_a_best_checkpoint_that_is_damaged_is_told_when_the_run_goes_on(
    train: Command, folder: Path, golden: Golden
) -> None:
    flip_a_bit(folder / "checkpoints" / "best.pt")
    out = train("name=x", "resume=auto").out
    golden("row11_best", "".join(f"{line}\n" for line in out.splitlines() if "best.pt is" in line))
    assert "best.pt is missing or damaged" in str(lines_of(folder / "metrics.jsonl", "event")[0]["damaged"])


@pytest.mark.row(6)
def test_a_signal_before_a_resumed_run_has_taken_a_step_drives_no_older_checkpoint_out(
    train: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINER_FAULT", "term@begin=8")
    assert train("name=x", "resume=auto").code == 143
    steps = [torch.load(folder / "checkpoints" / name)["step"] for name in ("last.pt", "previous.pt")]
    assert steps == [8, 6]


@pytest.mark.row(12)
@pytest.mark.parametrize("damage", [DAMAGES[0], DAMAGES[-1]], ids=["emptied", "deleted"])
def test_a_run_without_a_good_checkpoint_never_starts_anew_by_itself(
    train: Command, folder: Path, golden: Golden, damage: Callable[[Path], Any], request: pytest.FixtureRequest
) -> None:
    for name in ("last.pt", "previous.pt"):
        damage(folder / "checkpoints" / name)
    before = (folder / "metrics.jsonl").read_bytes()
    ended = train("name=x", "resume=auto")
    assert ended.code == 4
    golden(f"row12_{request.node.callspec.id}", ended.err)
    assert (folder / "metrics.jsonl").read_bytes() == before


@pytest.mark.row(12)
def test_a_run_that_was_stopped_before_its_first_checkpoint_says_that_it_starts_anew(
    train: Command, folder: Path
) -> None:
    shutil.rmtree(folder / "checkpoints")
    ended = train("name=x", "resume=auto")
    assert ended.code == 0
    assert "The run was stopped before it had saved a checkpoint, and starts anew.\n" in ended.out


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Ends the process, as it were, at a point of the program that has this name and number."""

    def at(point: str, number: int) -> None:
        def reach(name: str, count: int) -> None:
            if (name, count) == (point, number):
                monkeypatch.setattr(fault, "reach", whole)
                raise Crash

        monkeypatch.setattr(fault, "reach", reach)

    whole = fault.reach
    return at


@pytest.mark.slow
@pytest.mark.row(12)
def test_a_run_that_was_killed_twice_in_its_very_first_save_starts_anew(
    train: Command, tmp_path: Path, crash: Callable[[str, int], None]
) -> None:
    for step in (2, 3):
        crash("last.pt:listed", step)
        with pytest.raises(Crash):
            train("name=x", "resume=auto", f"save_every={step}")
    assert train("name=x", "resume=auto").code == 0


@pytest.mark.row(3)
def test_whatever_was_left_half_written_goes_at_the_next_start(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "x")
    folder.checkpoints.mkdir(parents=True)
    files = (folder.config, folder.about, folder.metrics, folder.summary, folder.files, folder.left_out)
    for path in (*files, folder.checkpoints / "last.pt"):
        path.with_name(f"{path.name}.tmp").write_text("half")
    with folder.locked():
        assert not list(folder.path.rglob("*.tmp"))


@pytest.mark.row(13)
@pytest.mark.parametrize(
    "name",
    [
        "my-rum",
        "my-run/checkpoints/lsat.pt",
        "my-run/last.pt",
        "my-rum/checkpoints/last.pt",
        "my-run/checkpoints/best.pt",
    ],
)
def test_a_wrong_path_to_go_on_from_names_the_nearest(train: Command, folder: Path, golden: Golden, name: str) -> None:
    path = folder.rename(folder.parent / "my-run").parent / name
    ended = train(f"resume={path}", tiny=False)
    assert ended.code == 4
    golden(f"row13_{name.replace('/', '_')}", ended.err)


@pytest.mark.row(13)
def test_a_runs_name_alone_is_answered_with_where_it_lies(
    train: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = folder.rename(folder.parent / "mine").relative_to(tmp_path)
    ended = train("resume=mine", tiny=False)
    assert ended.code == 4
    assert ended.err.startswith(f"resume: mine holds no run (no config.yaml). Did you mean '{run}'?")


def put(folder: Path, saved: dict[str, Any]) -> None:
    """Makes this the last checkpoint, such that the manifest vouches for it."""
    path, manifest = folder / "checkpoints" / "last.pt", folder / "checkpoints" / "manifest.json"
    torch.save(saved, path)
    content = json.loads(manifest.read_text())
    entry = {"file": "last.pt", "step": 8, "config_sha256": ""}
    content["sha256"][hashlib.sha256(path.read_bytes()).hexdigest()] = entry
    manifest.write_text(json.dumps(content))


@pytest.mark.row(14)
def test_a_strangers_checkpoint_that_would_run_code_is_refused(
    train: Command, folder: Path, tmp_path: Path, golden: Golden
) -> None:
    saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    put(folder, {**saved, "best": Malice(tmp_path / "ran")})
    ended = train("name=x", "resume=auto")
    assert ended.code == 4 and not (tmp_path / "ran").exists()
    golden("row14_code", ended.err, r"(?<=would run )(posix|nt)")


@pytest.mark.slow
@pytest.mark.row(15)
def test_words_in_a_checkpoint_that_name_a_function_are_words(train: Command, folder: Path, tmp_path: Path) -> None:
    saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    words = {"_target_": "os.system", "_args_": [f"touch {tmp_path / 'ran'}"], "command": f"touch {tmp_path / 'ran'}"}
    put(folder, {**saved, **words, "config": {**saved["config"], **words, "model._target_": "os.system"}})
    refused = train("name=x", "resume=auto")
    assert refused.code == 2 and "model._target_: os.system before, absent now" in refused.err
    put(folder, {**saved, **words, "versions": words})
    assert train("name=x", "resume=auto").code == 0
    weights = folder / "checkpoints" / "last.pt"
    put(folder, {**saved, **words})
    assert train("name=tuned", f"model.weights={weights}", "epochs=1").code == 0
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three classes."""
    for label, name in enumerate(("ant", "bee", "cat")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number).integers(0, 80, (16, 16, 3)) + 80 * label
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.slow
@pytest.mark.row(17)
def test_other_classes_end_a_resume_and_start_a_new_head_in_fine_tuning(
    train: Command, photos: Path, tmp_path: Path, golden: Golden
) -> None:
    words = ("data=folder", f"data.root={photos}", "data.size=12", "model.widths=[4,8]", "batch_size=8", "epochs=1",
             "device=cpu", "precision=fp32")  # fmt: skip
    assert train(*words, "name=x", "sched=constant", tiny=False).code == 0
    (photos / "bee").rename(photos / "wasp")
    best = tmp_path / "outputs" / "x" / "checkpoints" / "best.pt"
    resumed = train(f"resume={tmp_path / 'outputs' / 'x'}", "epochs=2", tiny=False)
    assert resumed.code == 4
    golden("row17_resume", resumed.err)
    tuned = train(*words, f"model.weights={best}", "name=tuned", "optim.lr=1e-30", tiny=False)
    assert tuned.code == 0
    golden("row17_tune", "".join(f"{line}\n" for line in tuned.out.splitlines() if line.startswith("weights:")))
    before = torch.load(best, weights_only=True)["model"]
    after = torch.load(tmp_path / "outputs" / "tuned" / "checkpoints" / "best.pt", weights_only=True)["model"]
    new = [name for name in before if "num_batches" not in name and "running" not in name
           and not torch.allclose(before[name], after[name])]  # fmt: skip
    assert new == ["head.3.weight", "head.3.bias"]


def test_long_lists_of_classes_are_told_by_their_difference() -> None:
    many = [f"class{number}" for number in range(40)]
    assert both_lists(many, many[::-1]) == "the same 40 in another order"
    assert both_lists(many, [*many[2:], "new"]) == "40 before; 39 now; gone: class0, class1; new: new"
    assert both_lists(many, many[:2]).endswith("class10, class11 and 28 more")


@pytest.mark.row(18)
def test_a_change_is_refused_with_a_diff_and_with_how_to_allow_it(train: Command, folder: Path, golden: Golden) -> None:
    ended = train("name=x", "resume=auto", "optim.lr=0.5", "sched=constant", "seed=1")
    assert ended.code == 2
    golden("row18_refused", ended.err)
    fixed = train("name=x", "resume=auto", "optim=sgd", "optim.lr=0.5")
    assert fixed.code == 2 and "optim.name: adamw before, sgd now" in fixed.err and "resume_allow" not in fixed.err


@pytest.mark.row(18)
def test_a_config_that_was_edited_by_hand_is_a_change_too(train: Command, folder: Path) -> None:
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.003", "lr: 0.5"))
    ended = train(f"resume={folder}", tiny=False)
    assert ended.code == 2 and "optim.lr: 0.003 before, 0.5 now" in ended.err


@pytest.mark.slow
@pytest.mark.row(18)
def test_a_change_that_is_allowed_acts_and_is_told_and_recorded(train: Command, folder: Path, golden: Golden) -> None:
    ended = train("name=x", "resume=auto", "optim.lr=0.5", "sched=constant", "resume_allow=[optim.lr,sched]")
    assert ended.code == 0, ended.err
    lines = [line for line in ended.out.splitlines() if "Not bit-exact" in line]
    golden("row18_allowed", "".join(f"{line}\n" for line in lines))
    assert [line["lr"] for line in lines_of(folder / "metrics.jsonl", "step")][-2:] == [0.5, 0.5]
    assert "optim.lr: 0.003 before, 0.5 now" in str(lines_of(folder / "metrics.jsonl", "event")[-1]["changed"])
    assert train(f"resume={folder}", "epochs=3", tiny=False).code == 0, "what was allowed once is the run's own"


@pytest.mark.slow
@pytest.mark.row(18)
@pytest.mark.parametrize("save_every", [0, 1])
@pytest.mark.parametrize(
    ("word", "kept", "steps"), [("batch_size=8", [1, 3, 7, 11, 14], 22), ("batch_size=44", [0, 0, 1, 2, 2], 4)]
)
def test_with_another_batch_size_the_run_keeps_its_place_in_epoch_schedule_and_records(
    train: Command,
    folder: Path,
    crash: Callable[[str, int], None],
    word: str,
    kept: list[int],
    steps: int,
    save_every: int,
) -> None:
    before = [line["loss"] for line in lines_of(folder / "metrics.jsonl", "step")]
    words = ("name=x", "resume=auto", word, "resume_allow=[batch_size]", "log_every=1", f"save_every={save_every}")
    first = steps // 2 + (8 - 6) * (steps // 2) // 6 + 1
    crash("step", first + 1)
    with pytest.raises(Crash):
        train(*words)
    assert lines_of(folder / "metrics.jsonl", "step")[-1]["step"] == first
    ended = train(*words)
    assert ended.code == 0, ended.err
    lines = lines_of(folder / "metrics.jsonl", "step")
    assert [line["step"] for line in lines] == [*kept, *range(first, steps + 1)]
    assert [line["loss"] for line in lines[: len(kept)]] == before
    assert [line["step"] for line in lines_of(folder / "metrics.jsonl", "epoch")] == [steps // 2, steps]


@pytest.mark.row(18)
@pytest.mark.row(22)
def test_a_rollback_under_another_batch_size_goes_back_to_the_place_of_the_checkpoint(
    train: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: Any = loop._groups
    monkeypatch.setattr(loop, "_groups", Poison([16]).groups(groups))
    changes = ("batch_size=8", "on_nonfinite=rollback", "resume_allow=[batch_size,on_nonfinite]")
    ended = train("name=x", "resume=auto", *changes, "log_every=1")
    assert ended.code == 0, ended.err
    assert "Back to step 14 with half the rate, rollback 1 of 3 at most." in ended.out
    assert [line["step"] for line in lines_of(folder / "metrics.jsonl", "step")] == [1, 3, 7, 11, *range(14, 23)]


@pytest.mark.row(18)
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("resume=auto", "resume_allow=[optim.lrr]"), 2, "resume_allow: there is no setting 'optim.lrr'"),
        (("resume=auto", "resume_allow=[monitor]"), 2, "resume_allow: monitor cannot change within a run."),
        (("resume_allow=[optim.lr]",), 2, "resume_allow: it acts on a run that goes on. Say which: resume=FOLDER."),
        (("resume=auto", "model.widths=[4,9]", "resume_allow=[model]"), 4, "model.widths: [4, 8] before, [4, 9] now"),
    ],
)
def test_what_cannot_be_allowed_is_refused(
    train: Command, folder: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    ended = train("name=x", *words)
    assert ended.code == code and message in ended.err and len(ended.err.splitlines()) == 1


@pytest.mark.row(19)
def test_a_finished_run_says_so_and_does_nothing(train: Command, tmp_path: Path, golden: Golden) -> None:
    assert train("name=x", "epochs=1").code == 0
    folder = tmp_path / "outputs" / "x"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "run.lock"}
    ended = train(f"resume={folder}", tiny=False)
    assert ended.code == 0
    golden("row19_finished", ended.out)
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.slow
@pytest.mark.row(18)
@pytest.mark.row(19)
def test_a_run_that_stopped_early_goes_on_when_early_stop_is_raised(
    train: Command, tmp_path: Path, golden: Golden
) -> None:
    def stale_epochs() -> int:
        summary = json.loads((tmp_path / "outputs" / "x" / "summary.json").read_text())
        return int(summary["epochs"] - summary["best"]["epoch"])

    words = ("name=x", "resume=auto", "epochs=30", "optim.lr=1e-30", "sched=constant")  # there is no progress for long
    assert train(*words, "early_stop=1").code == 0 and stale_epochs() == 1
    again = train(*words, "early_stop=1")
    assert again.code == 0
    golden("row19_stopped_early", again.out)
    assert train(*words, "early_stop=2").code == 0 and stale_epochs() == 2


@pytest.mark.row(35)
def test_another_torch_or_thread_count_is_told_and_recorded(train: Command, folder: Path, golden: Golden) -> None:
    about = json.loads((folder / "run.json").read_text())
    now = {"threads": about["threads"], **about["versions"]}
    about["versions"] |= {"torch": "2.9.1", "torchvision": "0.24.1"}
    (folder / "run.json").write_text(json.dumps({**about, "threads": 77, "device": "cuda:0"}))
    ended = train("name=x", "resume=auto")
    assert ended.code == 0
    lines = [line for line in ended.out.splitlines() if "Not bit-exact" in line]
    here = [f"(?<=and is ){now[key]}" for key in ("threads", "torch", "torchvision")]
    golden("row35_environment", "".join(f"{line}\n" for line in lines), *[each.replace("+", r"\+") for each in here])
    assert len(lines_of(folder / "metrics.jsonl", "event")[-1]["changed"]) == 4  # type: ignore[arg-type]


def test_every_file_that_a_run_saves_loads_without_running_anything_and_tells_of_its_run(begun: Path) -> None:
    files = sorted(begun.rglob("*.pt"))
    kinds = {path.name.split("_")[0].removesuffix(".pt") for path in files}
    assert kinds == {"last", "previous", "best", "epoch1"}
    for path in files:
        saved = torch.load(path, weights_only=True)
        assert saved["format"] == FORMAT and saved["classes"] == ["0", "1", "2"], path
        assert saved["config"]["optim.lr"] == 0.003 and saved["versions"].keys() >= {"trainer", "torch"}
    manifest = json.loads((begun / "checkpoints" / "manifest.json").read_text())
    listed = {key: entry["file"] for key, entry in manifest["sha256"].items()}
    for path in files:
        name = "last.pt" if path.name == "previous.pt" else path.name
        assert listed[hashlib.sha256(path.read_bytes()).hexdigest()] == name
    assert manifest["format"] == FORMAT and manifest["classes"] == saved["classes"]
    text = json.dumps(saved["config"], sort_keys=True)
    assert {entry["config_sha256"] for entry in manifest["sha256"].values()} == {
        hashlib.sha256(text.encode()).hexdigest()
    }
