"""hydra/sweeper=optuna: what is drawn, what Optuna is told, and a search that is stopped goes on."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import OmegaConf
from optuna import Study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from shared import Crash, Ended, fingerprint, lines_of

from trainer.cli.main import main
from trainer.commands import train as training
from trainer.errors import ConfigError, PrunedError
from trainer.records.folder import RunFolder, write_json
from trainer.sweep.job import Outcome
from trainer.sweep.options import TARGET, Sampler, Search, searched
from trainer.sweep.pruning import reporter_of
from trainer.sweep.search import OptunaSweeper
from trainer.sweep.space import distribution
from trainer.sweep.study import conclusion, open_study, study_of

Train = Callable[..., Ended]
EPOCHS = 4


class Launcher:
    """Runs that train nothing: each reaches what `scored` makes of its words, and reports it as if after each epoch."""

    def __init__(self) -> None:
        self.config: Any = None
        self.scored: Callable[[dict[str, str]], float] = lambda said: -abs(float(said["optim.lr"]) - 0.01)
        self.before: Callable[[int], str] = lambda begun: "finished"
        self.reports = False
        self.begun: list[str] = []
        self.lumps: list[int] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        self.lumps.append(len(job_overrides))
        return [self._run(initial_job_idx + place, words) for place, words in enumerate(job_overrides)]

    def _run(self, number: int, words: Sequence[str]) -> JobReturn:
        said = {key.lstrip("+"): value for key, _, value in (word.partition("=") for word in words)}
        self.begun.append(" ".join([str(number), *(f"seed {said[key]}" for key in ("seed",) if key in said)]))
        folder = RunFolder(Path(self.config.hydra.sweep.dir) / str(number))
        about = {"job": {"num": number}, "runtime": {"output_dir": str(folder.path)}}
        hydra, status, score = OmegaConf.merge(self.config.hydra, about), self.before(len(self.begun)), 0.0
        if status == "finished":
            score = self.scored(said)
            status = self._trained(hydra, folder, score) if self.reports else status
        best = {"val_accuracy": score} if status == "finished" else {}
        return JobReturn(status=JobStatus.COMPLETED, _return_value=Outcome(folder.path, status, best=best))

    def _trained(self, hydra: Any, folder: RunFolder, score: float) -> str:
        try:
            after_epoch = reporter_of(hydra, SimpleNamespace(monitor="val_accuracy"))  # type: ignore[arg-type]
            for epoch in range(1, EPOCHS + 1):
                after_epoch(SimpleNamespace(epoch=epoch, val=SimpleNamespace(score=score)), EPOCHS)  # type: ignore[arg-type]
        except PrunedError as error:
            folder.path.mkdir(exist_ok=True)
            write_json(folder.summary, {"status": "pruned", "message": str(error)})
            return "pruned"
        return "finished"


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Launcher:
    launcher = Launcher()

    def made(plugins: Plugins, hydra_context: HydraContext, task_function: Any, config: Any) -> Launcher:
        launcher.config = config
        return launcher

    monkeypatch.setattr(Plugins, "instantiate_launcher", made)
    return launcher


@pytest.fixture
def search(tmp_path: Path, launcher: Launcher) -> Callable[..., Study]:
    """Searches with such runs, as Hydra would have the sweeper do it, and gives the study."""

    def searching(*words: str, name: str = "s", seed: int = 0, n_trials: int, **options: Any) -> Study:
        (folder := tmp_path / name).mkdir(parents=True, exist_ok=True)
        node = {"_target_": TARGET, "n_trials": n_trials, **options}
        hydra = {"sweeper": node, "sweep": {"dir": str(folder)}}
        config = OmegaConf.create({"hydra": hydra, "seed": seed, "monitor": None, "task": {"name": "single"}})
        sweeper = OptunaSweeper(**options)
        loader: Any = None
        sweeper.setup(hydra_context=HydraContext(loader, loader), task_function=lambda _: None, config=config)
        sweeper.sweep([f"++{word}" for word in words])
        found = searched(config.hydra)
        assert found is not None
        return open_study(found, folder, "val_accuracy")

    return searching


LR = "optim.lr=tag(log,interval(1e-4,1e-1))"


def states(study: Study) -> str:
    """Of its trials, by their first letters: complete, pruned, failed, running."""
    return "".join(trial.state.name[0] for trial in study.trials)


@pytest.mark.slow
def test_a_search_draws_from_the_space_that_was_said(search: Callable[..., Study], launcher: Launcher) -> None:
    study = search(LR, "batch_size=range(8,33,8)", "aug=none,light", n_trials=3, n_jobs=2)
    assert launcher.begun == ["0", "1", "2"] and launcher.lumps == [2, 1]
    assert states(study) == "CCC" and study.direction.name == "MAXIMIZE"
    assert study.trials[0].distributions == {
        "optim.lr": FloatDistribution(1e-4, 1e-1, log=True),
        "batch_size": IntDistribution(8, 32, step=8),
        "aug": CategoricalDistribution(["none", "light"]),
    }
    assert all(trial.value == -abs(trial.params["optim.lr"] - 0.01) for trial in study.trials)


@pytest.mark.slow
def test_a_search_that_was_stopped_draws_what_it_would_have_drawn(
    search: Callable[..., Study], launcher: Launcher
) -> None:
    options = {"sampler": {"name": "tpe", "n_startup_trials": 2}}
    unbroken = [(trial.params, trial.value) for trial in search(LR, name="unbroken", n_trials=5, **options).trials]
    launcher.begun.clear()

    def crash(begun: int) -> str:
        if begun == 3:
            raise Crash
        return "finished"

    launcher.before = crash
    with pytest.raises(Crash):
        search(LR, n_trials=4, **options)
    study = search(LR, n_trials=5, **options)
    assert launcher.begun == ["0", "1", "2", "2", "3", "4"]
    assert [(trial.params, trial.value) for trial in study.trials] == unbroken


def test_a_trial_that_was_stopped_goes_on_first(search: Callable[..., Study], launcher: Launcher) -> None:
    launcher.before = lambda begun: "stopped" if begun == 2 else "finished"
    assert states(search(LR, n_trials=3, n_jobs=2)) == "CR"
    assert states(search(LR, n_trials=3, n_jobs=2)) == "CCC"
    assert launcher.begun == ["0", "1", "1", "2"]


def test_a_grid_has_every_combination_once(search: Callable[..., Study], launcher: Launcher) -> None:
    for _ in range(2):  # the second finds nothing left
        study = search("optim.lr=0.01,0.1", "epochs=range(1,3)", n_trials=4, sampler="grid")
    drawn = {(trial.params["optim.lr"], trial.params["epochs"]) for trial in study.trials}
    assert drawn == {(lr, epochs) for lr in ("0.01", "0.1") for epochs in (1, 2)} and len(launcher.begun) == 4


def test_the_value_of_a_trial_is_the_mean_over_its_seeds(search: Callable[..., Study], launcher: Launcher) -> None:
    launcher.scored = lambda said: float(said["seed"]) / 10
    study = search(LR, seed=3, seeds=3, n_trials=2, n_jobs=2)
    assert launcher.begun == ["0 seed 3", "1 seed 4", "2 seed 5", "3 seed 3", "4 seed 4", "5 seed 5"]
    assert [trial.value for trial in study.trials] == pytest.approx([0.4, 0.4])


@pytest.mark.slow
def test_a_poor_trial_is_pruned_with_all_its_seeds(search: Callable[..., Study], launcher: Launcher) -> None:
    launcher.reports, scores = True, iter([0.5, 0.7] * 5 + [0.4] * 4)
    launcher.scored = lambda said: next(scores)
    for pruner in ("median", "none"):
        study = search(LR, seeds=2, n_trials=6 if pruner == "median" else 7, pruner=pruner)
    assert states(study) == "CCCCCPC"
    assert [list(trial.intermediate_values) for trial in study.trials[5:]] == [[1, 2], [1, 2, 3, 4]]
    assert study.trials[4].value == pytest.approx(0.6)


def test_a_failed_trial_is_passed_over_until_too_many_have_failed(
    search: Callable[..., Study], launcher: Launcher, tmp_path: Path
) -> None:
    launcher.before = lambda begun: "failed" if begun != 2 else "finished"
    study = search(LR, n_trials=5, max_failure_rate=0.3)
    assert states(study) == "FCF"
    found = searched(launcher.config.hydra)
    assert found is not None
    assert conclusion(open_study(found, tmp_path / "s", "val_accuracy")) == (
        "3 trials: 1 came to their end, 2 failed and passed over."
    )


@pytest.mark.slow
def test_a_trial_is_told_the_score_of_every_epoch(train: Train, tmp_path: Path) -> None:
    words = ("-m", "name=s", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", LR)
    assert train(*words).code == 0
    folder = tmp_path / "outputs" / "multirun" / "s"
    study = study_of(folder)
    assert study is not None
    epochs = {line["epoch"]: line["val_accuracy"] for line in lines_of(folder / "0" / "metrics.jsonl", "epoch")}
    assert study.trials[0].intermediate_values == epochs
    assert study.trials[0].value == RunFolder(folder / "0").read_summary()["best"]["val_accuracy"]


def test_a_pruned_run_is_saved_whole_and_can_be_trained_on(
    train: Train, tmp_path: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prune(report: Any, epochs: int) -> None:
        raise PrunedError(f"Pruned after epoch {report.epoch} of {epochs}.")

    run_in = training.run_in
    monkeypatch.setattr(training, "run_in", lambda *words, **named: run_in(*words, **named, after_epoch=prune))
    assert train("name=x").code == 0
    folder = RunFolder(tmp_path / "outputs" / "x")
    summary = folder.read_summary()
    assert (summary["status"], summary["epochs"], summary["best"]["epoch"]) == ("pruned", 1, 1)
    assert (folder.checkpoints / "best.pt").exists()
    monkeypatch.undo()
    assert train(f"resume={folder.path}", tiny=False).code == 0
    assert fingerprint(folder.path)["state"] == fingerprint(unbroken)["state"]


def test_a_study_of_another_sweep_is_gone_on_with_only_by_its_name(
    search: Callable[..., Study], tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path}/all.db"
    search(LR, name="a/s", n_trials=1, storage=storage)
    with pytest.raises(ConfigError, match=r"it holds a study 's' of another sweep\. .*study_name=s\.$"):
        search(LR, name="b/s", n_trials=2, storage=storage)
    assert states(search(LR, name="b/s", n_trials=2, storage=storage, study_name="s")) == "CC"


@pytest.mark.slow
def test_a_config_can_say_the_whole_search(train: Train, tmp_path: Path) -> None:
    recipe = tmp_path / "conf" / "experiment" / "mine.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(
        "# @package _global_\ndefaults: [{override /hydra/sweeper: optuna}]\nmonitor: val_loss\nhydra:\n  sweeper:\n"
        '    n_trials: 1\n    params: {optim.lr: "interval(0.01,0.02)", init: glob(he_*)}\n'
    )
    ended = train("--config-dir", str(tmp_path / "conf"), "-m", "name=s", "+experiment=mine", "epochs=1")
    study = study_of(tmp_path / "outputs" / "multirun" / "s")
    assert ended.code == 0 and study is not None, ended.err
    (trial,) = study.trials
    assert study.direction.name == "MINIMIZE" and 0.01 <= trial.params["optim.lr"] <= 0.02
    assert trial.distributions["init"] == CategoricalDistribution(["he_normal", "he_uniform"])


@pytest.mark.parametrize(
    "values", ["range(3)", "range(8,33,8)", "range(10,1,-3)", "range(0.1,0.5,0.1)", "range(0,1,0.25)"]
)
def test_a_range_is_drawn_from_just_the_values_that_hydra_makes_of_it(values: str) -> None:
    override = OverridesParser.create().parse_override(f"x={values}")
    drawn: Any = distribution(override)
    steps = round((drawn.high - drawn.low) / drawn.step) + 1
    expected = sorted(override.sweep_iterator())  # type: ignore[type-var]
    assert [drawn.low + number * drawn.step for number in range(steps)] == pytest.approx(expected)
    assert isinstance(drawn, IntDistribution) == all(isinstance(each, int) for each in expected)


@pytest.mark.slow
def test_only_the_parts_that_have_an_option_are_said_it(search: Callable[..., Study], launcher: Launcher) -> None:
    launcher.scored = lambda said: float("flip" in " ".join(said))
    for sampler, n_trials in (("random", 6), ("grid", 3)):
        study = search("aug.flip=0,0.5", "aug=none,light", name=sampler, n_trials=n_trials, sampler=sampler)
        assert all(("aug.flip" in trial.params) == (trial.params["aug"] == "light") for trial in study.trials)
        assert {trial.value for trial in study.trials} == {0.0, 1.0}
    assert len({tuple(sorted(trial.params.items())) for trial in study.trials}) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "search_values",
            ["optim.lr=interval(1e-1,1e-4)", "clip_norm=tag(log,interval(0,1))", "ema=tag(lg,interval(0.1,0.9))",
             "seed=tag(log,range(1,9))", "aug=glob(x*)", "epochs=range(4,1)", "hydra.sweeper.study_name=a,b"],
        ),
        ("search_ends", ["ema=interval(0.5,1)", "batch_size=interval(16,64)"]),
        ("search_nothing", ["epochs=3"]),
        (
            "search_options",
            [LR, "hydra.sweeper.n_trial=3", "hydra.sweeper.n_jobs=0", "hydra.sweeper.pruner=medain",
             "hydra.sweeper.sampler=rand"],
        ),
        ("search_params", [LR, "hydra.sweeper.params={hydra.launcher.setup: x, +data.root: a, epochs: 1}"]),
        ("search_no_sampler", [LR, "hydra.sweeper.sampler=null"]),
        (
            "search_contradictions",
            [LR, "seed=1,2", "monitor=val_accuracy,val_loss", "hydra.sweeper.seeds=2",
             "hydra.sweeper.direction=minimize", "hydra/sweeper/sampler=random",
             "hydra.sweeper.sampler.n_startup_trials=3"],
        ),
        ("search_grid", [LR, "hydra/sweeper/sampler=grid"]),
        ("search_storage", [LR, "hydra.sweeper.storage=redis://x"]),
        ("search_sweeper", [LR, "hydra/sweeper=optna"]),
        ("search_sampler", [LR, "hydra/sweeper/sampler=randm"]),
        ("search_model", [LR, "model=xresnt18"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_search_is_told_before_its_first_trial(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, golden: Callable[..., None], name: str, words: Sequence[str]
) -> None:
    assert main(["-m", f"output={tmp_path}", "hydra/sweeper=optuna", *words]) == 2
    golden(name, capsys.readouterr().err, "(?<=opened: ).*")  # Optuna's own words
    assert not list(tmp_path.iterdir())


def test_the_combinations_of_a_space_are_counted_for_a_grid_alone() -> None:
    assert Search(n_trials=3).trials(lambda: pytest.fail("there may be billions")) == 3
    assert Search(sampler=Sampler("grid"), n_trials=3).trials(lambda: 2) == 2


def test_params_are_for_a_search_alone(train: Train, tmp_path: Path) -> None:
    (recipe := tmp_path / "conf" / "experiment" / "mine.yaml").parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\nhydra: {sweeper: {params: {hydra/job_logging: mine}}}\n")
    ended = train("--config-dir", str(tmp_path / "conf"), "-m", "seed=0,1", "+experiment=mine")
    assert ended.code == 2 and ended.err.startswith("hydra.sweeper.params: it is for hydra/sweeper=optuna."), ended.err
    assert not (tmp_path / "outputs").exists()


def test_a_search_without_optuna_says_what_to_install(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.sweep.options.find_spec", lambda name: None)
    ended = train("-m", "hydra/sweeper=optuna", LR)
    assert (ended.code, ended.out) == (2, "") and "pip install 'trainer[sweep]'" in ended.err


@pytest.mark.parametrize("kind", [Search, Sampler])
def test_every_option_stands_in_the_documents_with_its_default(kind: type[Search] | type[Sampler]) -> None:
    table = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    options = asdict(kind())
    prefix = "sampler." if kind is Sampler else ""
    for name, default in options.items():
        said = json.dumps(options["sampler"]["name"] if name == "sampler" else default).strip('"')
        assert name == "name" or f"| `{prefix}{name}` | `{said}` |" in table
