"""What --help prints: the verbs, the parts with what each gives, the settings, the flags."""

from collections.abc import Mapping, Sequence

from trainer.config import ROOMS, conf_folder
from trainer.registry import entries

_FLAGS = {
    "-m, --multirun": "one run for each combination of comma-separated values, closed by a ranked table",
    "hydra/sweeper=optuna": "with -m: a search, by Optuna, instead of every combination; docs/sweeps.md says how",
    "--cfg job": "print the whole config instead of running it; --resolve fills in what it refers to",
    "--config-dir DIR": "more YAML files of your own, in DIR/model, DIR/experiment, ...",
    "--config-path RUN": "run the config again that a run folder stores",
    "--shell-completion": "install=bash|zsh|fish prints what to evaluate in your shell",
}


def text(verbs: Mapping[str, str], plugins: Sequence[str] = ()) -> str:
    """The whole help. Nothing is imported for it but YAML text and the parts' own first lines."""
    return "\n".join(
        [
            "python -m trainer [VERB] [ROOM=PART] [ROOM.OPTION=VALUE] [SETTING=VALUE] ...",
            "",
            "Verbs",
            *_columns(verbs),
            "",
            "Parts, and what each gives. conf/ROOM/PART.yaml explains their options; --cfg job ROOM=PART lists them.",
            *[line for room in ROOMS for line in _room(room, plugins)],
            "  experiment=",
            *_columns(
                {path.stem: _claim(path.read_text()) for path in sorted((conf_folder() / "experiment").iterdir())}
            ),
            "",
            "Settings, with their defaults",
            *[f"  {line}" if line else "" for line in _settings()],
            "",
            "Flags",
            *_columns(_FLAGS),
        ]
    )


def _room(room: str, plugins: Sequence[str]) -> list[str]:
    return [f"  {room}=", *_columns({name: part.summary for name, part in entries(room, plugins).items()})]


def _columns(rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    return [f"    {name:<{width}}  {words}" for name, words in rows.items()]


def _claim(yaml: str) -> str:
    """The first comment of a recipe: the result that it claims."""
    return next(line[2:] for line in yaml.splitlines() if line.startswith("# ") and "@package" not in line)


def _settings() -> list[str]:
    """conf/config.yaml from behind its list of parts: every setting with its default and its comment."""
    lines = (conf_folder() / "config.yaml").read_text().splitlines()
    return lines[lines.index("# What is chosen where nothing is said") :]
