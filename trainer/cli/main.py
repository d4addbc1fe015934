"""The command line: `python -m trainer [VERB] [key=value …]`. A wrong word ends here, before torch is imported."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

from trainer import __version__
from trainer.cli import help, verbs
from trainer.cli.compose import (
    Origin,
    check_choices,
    checked,
    compose,
    compose_each,
    number_of_jobs,
    value_of,
)
from trainer.cli.on_runs import ON_RUNS
from trainer.cli.sweeping import launched, launcher_in, listed, search_in, varied_in
from trainer.cli.words import shown, spelled
from trainer.config import GROUPS, Config, conf_folder
from trainer.errors import ConfigError, TrainerError, did_you_mean, visible
from trainer.kernels.compiled import begin_compiling
from trainer.parallel.place import place_of, share_the_machine, tells
from trainer.records.folder import run_at
from trainer.settings import Settings
from trainer.system.garbage import end_without_collecting, put_off_collecting
from trainer.system.threads import wait_without_spinning
from trainer.track.installed import refuse_missing

VERBS = {
    "train": "Train a classifier (what happens when no verb is given).",
    "evaluate": "Score runs on labelled pictures: evaluate RUN [RUN ...] [split=test] [data.root=FOLDER].",
    "predict": "Classify pictures with a run: predict RUN PICTURE|FOLDER ... [output=answers.csv].",
    "export": "Write a run as one file that gives the same answers: export RUN format=onnx.",
    "compare": "Tell how runs differ, in their settings and in what came out: compare RUN RUN ...",
    "doctor": "Tell from its records what is wrong with a run, or that it is healthy: doctor RUN|FILE.csv.",
    "report": "Draw the page of a run again: report RUN.",
    "weights": "List the tensors that a run has learnt, by name and size: weights resume=FOLDER.",
    "summary": "List a model's layers: output shape, parameters, multiply-adds.",
    "inspect": "Show what each layer gives out before training, for several inits side by side: inspect init=A,B,...",
    "preview": "Draw what the model will see, the rate over the run, and class counts: preview output=FILE.png.",
    "check": "Say before a run what is wrong with it, and the words that mend it: check ... [format=json].",
    "find_lr": "Suggest the learning rate that suits this run, by what short trainings reach.",
    "cache": "List the decoded images and compiled kernels kept on disk; delete them with: cache clear.",
    "augment": "Write six augmented copies of each image: augment data=folder data.root=PHOTOS output=COPIES.",
}
DEFAULT_VERB = "train"
PLAIN = ("cache",)
"""The verbs that look at no config."""
COMPARED = {"inspect": ("init", "model")}
"""The verbs that look at several configs at once, and the rooms in which these may differ."""
WITH_OPTIONS = ("check",)
"""The verbs that look at one config, and have options of their own beside it."""
_FIRST_TELLS_SECONDS = 5.0
"""In which the first of several processes, begun with the others, has told an error that all have."""


def script() -> None:
    """The console script: runs the command line and ends the process with its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):  # a class may be named as the terminal's encoding cannot say
        sys.stdout.reconfigure(errors="backslashreplace")
    put_off_collecting()
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:  # in training an interrupt is noted, and answered after a good save
        if tells():
            print("Stopped outside training; what was saved before is intact.", file=sys.stderr)
        code = 128 + signal.SIGINT
    except BrokenPipeError:  # what reads our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    end_without_collecting()
    sys.exit(code)


def main(words: Sequence[str]) -> int:
    """The exit code of a command. A user's mistake prints its message; HYDRA_FULL_ERROR=1 shows where it arose."""
    try:
        return _dispatch(list(words))
    except TrainerError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if not error.is_told:
            if not tells():  # all may have the same error: torchrun ends this one when the first has told it
                time.sleep(_FIRST_TELLS_SECONDS)
            print(visible(str(error), keep="\n"), file=sys.stderr)
        return error.exit_code


def _dispatch(words: list[str]) -> int:
    wait_without_spinning()
    from hydra._internal.utils import get_args_parser  # Hydra's own words: -m, --help, --cfg, --config-dir, …

    if "--version" in words:
        print(f"trainer {__version__}")
        return 0
    verb = _take_verb(words)
    _share_out(verb, words)
    if verb in ON_RUNS:
        if {"--help", "-h"} & {*words}:
            print(verbs.usage(verb, VERBS[verb]))
            return 0
        return verbs.call(verb, words)
    options, words = verbs.taken(verb, words) if verb in WITH_OPTIONS else ({}, words)
    arguments, unknown = get_args_parser().parse_known_intermixed_args(words)
    if unknown:
        said = unknown[0].lstrip("-").replace("-", "_")
        example = said if "=" in said else f"{said}=VALUE"
        raise ConfigError(f"{unknown[0]}: there is no such flag. Settings are written without dashes: {example}.")
    if verb in PLAIN and not arguments.help:
        return int(import_module(f"trainer.commands.{verb}").run(arguments.overrides))
    for word in arguments.overrides:
        if word in VERBS:
            raise ConfigError(f"{word}: a verb stands first: python -m trainer {word} key=value …")
    flags = _flags(words, arguments.overrides, arguments.config_path)
    typed, arguments.overrides = arguments.overrides, spelled(arguments.overrides)
    words = [*flags, *arguments.overrides]  # Hydra wants flags first
    if arguments.experimental_rerun:
        raise ConfigError("--experimental-rerun reads a pickle, which can run code. Use --config-path RUN_FOLDER.")
    if arguments.help:
        print(help.text(VERBS))
        return 0
    origin = _origin(arguments.config_path, arguments.config_name, arguments.config_dir)
    if arguments.hydra_help or arguments.cfg or arguments.info or arguments.shell_completion:
        from trainer.sweep.multirun import hand_to_hydra

        check_choices(arguments.overrides, origin)
        hand_to_hydra(words)
        return 0
    if arguments.multirun and verb != DEFAULT_VERB:
        raise ConfigError(f"{verb}: -m makes several training runs. Leave it out.")
    if arguments.multirun:
        return _run_many(typed, arguments.overrides, origin)
    if verb in COMPARED:
        configs = compose_each(arguments.overrides, origin, COMPARED[verb])
        return int(import_module(f"trainer.commands.{verb}").run_each(configs))
    config = compose(arguments.overrides, _stored(arguments.overrides) or origin)
    if verb == DEFAULT_VERB:
        _prepare(config)
    return int(import_module(f"trainer.commands.{verb}").run(config, **options))


def _share_out(verb: str, words: Sequence[str]) -> None:
    """Gives each of several processes its part of the machine. Raises ConfigError for what only one can do."""
    if (place := place_of()).is_alone:
        return
    share_the_machine(place)
    if verb != DEFAULT_VERB or {"-m", "--multirun"} & {*words}:
        what = verb if verb != DEFAULT_VERB else "-m"
        raise ConfigError(
            f"{what}: torchrun has started several processes, and this is for one. Say it without torchrun."
        )


def _flags(words: Sequence[str], overrides: Sequence[str], config_path: str | None) -> list[str]:
    """The words with dashes and what belongs to them; a path as Hydra wants it: it would look beside its own files."""
    flags = [word for word in words if word not in overrides]
    if not config_path or config_path.startswith("/"):
        return flags
    return [
        word.replace(config_path, str(Path(config_path).absolute()))
        if word.removeprefix("--config-path=").removeprefix("-cp=") == config_path
        else word
        for word in flags
    ]


def training_config(words: Sequence[str]) -> Config:
    """The checked config of a training that the words say, without a verb and flags. Raises ConfigError."""
    overrides = spelled(words)
    config = compose(overrides, _stored(overrides) or _origin(None, None, None))
    _prepare(config)
    return config


def _run_many(typed: Sequence[str], overrides: Sequence[str], origin: Origin) -> int:
    from trainer.sweep.multirun import Jobs, run_many

    search = search_in(overrides, origin)
    if search is not None:
        typed = [listed(word, origin) for word in (*search.words, *typed)]
        overrides = spelled(typed)
    first = compose(overrides, origin, multirun=True, search=search)
    _prepare(first)
    if search is None:
        count = number_of_jobs(overrides)
    else:
        search = replace(search, n_trials=search.trials(partial(number_of_jobs, overrides)))
        count, overrides = search.runs, [*overrides, f"hydra.sweeper.n_trials={search.n_trials}"]
    launch, config_of = partial(launched, overrides, origin), partial(checked, origin=origin)
    launcher = launcher_in(overrides, origin, count)
    varied = varied_in(overrides)
    return run_many(Jobs(typed, count, first, launch, config_of, shown, launcher, varied, search))


def _prepare(config: Config) -> None:
    """Lets a compiler work while torch is imported, where a training may use what it makes. Raises ConfigError if what
    it asks for is not installed."""
    settings = config.settings
    refuse_missing(settings.trackers)
    may = settings.kernels == "auto" and settings.channels_last and not settings.compile
    if may and settings.device in ("auto", "cpu") and settings.precision in ("auto", "fp32"):
        begin_compiling()


def _take_verb(words: list[str]) -> str:
    """Removes the verb from the front of the words; the default verb where none stands there."""
    if not words or words[0].startswith("-") or "=" in words[0]:
        return DEFAULT_VERB
    verb = words.pop(0)
    if verb == "help":
        words.append("--help")
        return DEFAULT_VERB
    if verb not in VERBS:
        keys = [*GROUPS, *Settings.__dataclass_fields__]
        setting = f" Did you mean '{verb}=VALUE'?" if verb in keys else did_you_mean(verb, keys)
        hint = did_you_mean(verb, VERBS) or (f"{setting} Settings are written key=value." if setting else "")
        raise ConfigError(f"{verb}: there is no such verb.{hint} There is {', '.join(VERBS)}.")
    return verb


def _origin(path: str | None, name: str | None, directory: str | None) -> Origin:
    for folder in (path, directory):
        if folder is not None and not Path(folder).is_dir():
            raise ConfigError(f"{folder}: there is no such folder of configs.")
    if directory and name and (stored := Origin(Path(directory).absolute(), name)).is_stored:
        return stored
    besides = (Path(directory),) if directory else ()
    return Origin(Path(path).absolute() if path else conf_folder(), name or "config", besides)


def _stored(words: Sequence[str]) -> Origin | None:
    """The config of the run that resume=FOLDER goes on with, which need not be said again.

    None if the words choose parts: then they are the whole command once more, and are compared with the stored config.
    """
    folder = value_of("resume", words)
    if folder in (None, "auto") or any(value_of(group, words) for group in GROUPS):
        return None
    return Origin(run_at(Path(str(folder)).expanduser())[0].path)
