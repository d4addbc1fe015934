"""The benchmarks run; how fast is for `make bench` to say."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import __main__ as bench
from benchmarks import engine, feeding, precision, probe, results, startup, tables
from benchmarks import expected as scaled
from benchmarks.compiling import BreakEven
from benchmarks.gpu import __main__ as gpu
from benchmarks.measure import cost
from benchmarks.peers import accuracy, arithmetic, images, with_ours
from benchmarks.peers.__main__ import CONTESTANTS, schedule
from benchmarks.peers.kept import Kept, Key
from benchmarks.peers.summary import joined, summarise
from benchmarks.peers.task import FASHION, PHOTOGRAPHS, TASKS, Task
from benchmarks.rates import in_turn
from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder


def test_the_engine_is_measured_beside_the_bare_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "STEPS", 1)
    monkeypatch.setattr(engine, "TURNS", 1)
    monkeypatch.setattr(engine, "BATCH", 4)
    ratio = engine.engine_over_bare("small_cnn", 8)
    assert 0 < ratio.least <= ratio.median <= ratio.greatest
    assert ratio.ours > 0 and ratio.theirs > 0


@pytest.mark.parametrize(
    ("compiled_ms", "words"),
    [(50.0, "30 s more at the start, even after 600 steps"), (120.0, "30 s more at the start, never even")],
)
def test_what_the_compiler_costs_is_even_when_its_steps_have_saved_it(compiled_ms: float, words: str) -> None:
    assert BreakEven(30.0, compiled_ms, 100.0).words == words


def test_feeding_photographs_is_measured_beside_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PHOTOGRAPHS", 4), ("STORED", 10), ("SIZE", 8), ("WORKERS", 0)):
        monkeypatch.setattr(feeding, name, value)
    ratios = dict(feeding.photographs_beside_torchvision())
    assert len(ratios) == 2 and all(ratio.ours > 0 and ratio.theirs > 0 for ratio in ratios.values())


def test_contestants_run_in_turn_after_a_warm_up_each() -> None:
    calls: list[str] = []

    def contestant(name: str) -> int:
        calls.append(name)
        return 1

    in_turn(lambda: contestant("a"), lambda: contestant("b"), rounds=4)
    assert "".join(calls) == "ab" + "ba" + "ab" + "ba" + "ab"


def test_a_rate_is_taken_over_all_turns_of_its_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def working(seconds: float) -> int:
        nonlocal clock
        clock += seconds
        return 1

    monkeypatch.setattr("benchmarks.rates.time.perf_counter", lambda: clock)
    slow_then_fast = iter([0, 3, 1, 3, 1])  # the first warms up
    ratio = in_turn(lambda: working(1), lambda: working(next(slow_then_fast)), rounds=2, turns=2)
    assert (ratio.ours, ratio.theirs, ratio.least, ratio.greatest) == (1, 0.5, 2, 2)


def test_a_process_costs_what_its_children_cost_too() -> None:
    child = "import time, array; held = array.array('b', bytes(60_000_000)); time.sleep(0.5); print('done')"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    took = cost([sys.executable, "-c", parent])
    assert took.output == "done\n" and took.wall_seconds > 0.5 and took.cpu_seconds > 0
    assert took.peak_mib > 57


def test_a_process_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        cost([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.parametrize("real", [False, True])
def test_photographs_are_made_for_every_class_and_part(tmp_path: Path, real: bool) -> None:
    source = tmp_path / "source"
    if real:
        for name in ("train/a", "train/b", "test/a", "test/b"):
            (source / name).mkdir(parents=True)
            Image.effect_noise((130, 100), 40).convert("RGB").save(source / name / "1.png")
    task = replace(PHOTOGRAPHS, train=4, val=2)
    folder = images.photographs(tmp_path / "made", task, source if real else None)
    files = sorted(folder.rglob("*.jpg"))
    assert [len(list((folder / part).rglob("*.jpg"))) for part in ("train", "val")] == [4, 2]
    assert len(list((folder / "train").iterdir())) == len(list((folder / "val").iterdir())) == 2
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) == images.SHORT_SIDE
    assert len({file.read_bytes() for file in files}) == 6


def test_each_round_begins_with_another_contestant_and_has_all() -> None:
    order = schedule(["fashion", "feeding"], 3)
    rounds = [[key for key in order if key[0] == "fashion" and key[3] == number] for number in range(3)]
    assert len({keys[0][1:3] for keys in rounds}) == 3
    assert all({key[1:3] for key in keys} == set(CONTESTANTS["fashion"]) for keys in rounds)


def test_a_stopped_benchmark_finds_what_it_measured_unless_the_code_has_changed(tmp_path: Path) -> None:
    key: Key = ("fashion", "plain", "best", 1)
    Kept(tmp_path / "kept", "code").add(key, {"wall_seconds": 2.0})
    assert Kept(tmp_path / "kept", "code").found == {key: {"wall_seconds": 2.0}}
    assert key not in Kept(tmp_path / "kept", "other code")


def measured() -> dict[Key, dict[str, float]]:
    """Ours takes 10 s and the others 20 (at best) or 40, but for a slow second round; we feed ten times as fast."""
    values: dict[Key, dict[str, float]] = {}
    for work in TASKS:
        for library, settings in CONTESTANTS[work]:
            seconds = 10 if library == "ours" else 20 if settings == "best" else 40
            for number, slow in enumerate((1, 3, 1)):
                wall = {"wall_seconds": float(seconds * slow), "cpu_seconds": 1.0}
                values[work, library, settings, number] = {**wall, "peak_mib": 80.0 + seconds, "accuracy": 0.6}
    for number in range(3):
        values["feeding", "ours", "default", number] = {"first": 20.0, "later": 50.0}
        values["feeding", "plain", "best", number] = {"first": 10.0, "later": 5.0}
    return values


def test_ratios_are_taken_within_a_round_against_the_best_peer() -> None:
    found = {ratio["what"]: ratio for ratio in summarise(measured(), real=True)["ratios"]}
    assert [found[name]["median"] for name in found if "its best" in name] == [2, 2]
    assert found["photographs, the fastest peer at its defaults"]["greatest"] == 4
    assert found["photographs, peak memory over the leanest peer's"]["median"] == pytest.approx(0.9)
    assert found["feeding, from the second epoch on"]["median"] == 10


def test_works_measured_anew_leave_the_others_figures() -> None:
    every = summarise(measured(), real=True)
    faster = {key: {"first": 20.0, "later": 100.0} for key in measured() if key[:2] == ("feeding", "ours")}
    again = summarise({**measured(), **faster}, real=True)
    one = summarise({key: value for key, value in {**measured(), **faster}.items() if key[0] == "feeding"}, real=True)
    assert joined(every, one)["rows"] == again["rows"]
    assert joined(every, one)["ratios"] == again["ratios"] != every["ratios"]
    assert joined(None, every) == every


def test_a_missed_target_is_told_in_the_table() -> None:
    content = {"peers": summarise(measured(), real=True)}
    lines = tables.shown(content, "ratios").splitlines()
    assert [line.split("|")[-2].strip() for line in lines if "fastest peer at its best" in line] == ["yes", "**no**"]


def test_the_page_says_what_the_results_files_say() -> None:
    page = tables.PAGE.read_text()
    assert tables.fill(page) == page


def test_every_results_file_has_a_part_of_the_page() -> None:
    page = tables.PAGE.read_text()
    assert all(f"<!-- results: {file.name} -->" in page for file in results.FOLDER.glob("*.json"))


def test_each_part_of_the_page_draws_from_its_own_file() -> None:
    files = {f"{name}.json": {"bench": {"heads": ["a"], "rows": [[name]]}} for name in ("one", "two")}
    slot = "<!-- table: bench -->\nan old table\n<!-- end -->"
    page = f"<!-- results: one.json -->\n{slot}\n<!-- results: two.json -->\n{slot}"
    assert tables.fill(page, files.__getitem__) == "\n".join(
        f"<!-- results: {name}.json -->\n<!-- table: bench -->\n| a |\n| --- |\n| {name} |\n<!-- end -->"
        for name in ("one", "two")
    )


def test_a_part_says_what_was_not_measured_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    page = "<!-- results: none.json -->\n<!-- table: step -->\n<!-- end -->"
    assert "Not measured on this machine yet: step." in tables.fill(page)


def test_what_bf16_costs_is_told_beside_the_noise_of_the_seeds() -> None:
    assert precision.compared(fp32=[0.74, 0.75, 0.76], bf16=[0.75, 0.75, 0.75]) == [
        "75.00% (74.00% to 76.00%)",
        "75.00% (75.00% to 75.00%)",
        "+0.00 points",
        "0.71 points",
    ]


def test_accuracies_are_compared_beside_twice_the_standard_error() -> None:
    assert accuracy.compared(ours=[0.6, 0.7, 0.8], theirs=[0.7, 0.7, 0.7]) == [
        "0.700 (0.600 to 0.800)",
        "0.700 (0.700 to 0.700)",
        "+0.000",
        "0.115",
    ]


def test_what_is_expected_of_several_gpus_stands_on_its_page_as_it_is_worked_out() -> None:
    page = scaled.PAGE.read_text(encoding="utf-8")
    assert page == scaled.fill(page), "run python -m benchmarks.expected"


def test_a_ring_sends_each_byte_over_each_link_less_than_twice() -> None:
    wide = replace(scaled.Cluster(), latency=0.0)
    assert scaled.all_reduce(wide, 1) == 0.0
    assert scaled.all_reduce(wide, 8) == pytest.approx(1.75 * wide.gradient_bytes / wide.bytes_in_node)
    between = scaled.all_reduce(wide, 16) - scaled.all_reduce(wide, 8)
    assert between == pytest.approx(wide.gradient_bytes / wide.bytes_between_nodes)


def test_pictures_that_come_too_slowly_decide_the_step() -> None:
    fed = replace(scaled.Cluster(), fed_to_node=1_000.0)
    assert scaled.expected(fed, 16).images_per_second == pytest.approx(2_000.0)


def test_results_keep_the_other_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    results.write("bench", 1)
    results.write("scaling", 2)
    content = results.read()
    assert (content["bench"], content["scaling"], content["machine"]["cores"]) == (1, 2, results.machine()["cores"])


def test_a_section_measured_again_keeps_the_rows_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter("123")
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setitem(bench.SECTIONS, "starts", lambda: iter([("a start", next(rounds))]))
    monkeypatch.setitem(bench.SECTIONS, "steps", lambda: iter([("a step", next(rounds))]))
    bench.main("starts", "steps")
    bench.main("starts")
    assert results.read()["bench"]["rows"] == [["a start", "3"], ["a step", "2"]]


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("fast", [False, True])
def test_peers_at_their_best_compute_in_bf16_only_where_it_is_fast(
    best: bool, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arithmetic, "BF16", fast)
    with arithmetic.precision(best)():
        assert torch.is_autocast_enabled("cpu") == (best and fast)


@pytest.mark.parametrize("task", [FASHION, PHOTOGRAPHS])
def test_our_words_say_the_task(task: Task, tmp_path: Path) -> None:
    config = compose(with_ours.words(task, tmp_path), Origin(conf_folder()))
    assert (config.settings.epochs, config.settings.batch_size) == (task.epochs, task.batch_size)
    assert config.parts["model"].name == task.model
    assert config.parts["aug"].options["crop"] == 1 - task.crop[0]


def test_epochs_count_up_to_the_first_that_is_good_enough_or_the_best() -> None:
    epochs = [{"val_accuracy": score, "train_seconds": 2.0, "val_seconds": 1.0} for score in (0.5, 0.8, 0.9, 0.7)]
    assert probe.beyond(epochs, 0.75) == (6.0, 0.8)
    assert probe.beyond(epochs, 0.95) == (3.0, 0.9)


def test_a_mistyped_word_is_timed_beside_the_import_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "_wall", lambda command, _: 3.0 if "import torch" in command else 0.5)
    assert set(startup.first_words()) == set(startup.WORDS)
    assert all(ratios == [6.0] * startup.ROUNDS for _, _, ratios in startup.first_words().values())


@pytest.mark.slow
def test_what_is_run_on_a_gpu_runs_on_a_cpu_and_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", "cpu", "--small"]) == 0
    told = capsys.readouterr().out
    assert "killed and resumed, bit for bit" in told and "FAILED" not in told


def test_a_machine_without_a_gpu_is_told_how_to_try_it_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert "Try it out with --device cpu --small." in capsys.readouterr().err


def test_a_check_that_fails_is_told_in_its_row_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise AssertionError("3 differences: last.pt/model/head.weight")

    monkeypatch.setattr(gpu, "checks", lambda place: [("one", fails), ("another", lambda: None)])
    monkeypatch.setattr(gpu, "speeds", lambda place: [])
    assert gpu.main(["--device", "cpu", "--small"]) == 1
    told = capsys.readouterr().err
    assert "one\tFAILED: AssertionError: 3 differences: last.pt/model/head.weight" in told and "another\tright" in told
