"""Every part has a YAML file that says each of its options; a signature is a schema."""

from pathlib import Path

import pytest
import yaml

from trainer import registry
from trainer.config import ROOMS, check, conf_folder
from trainer.errors import ConfigError
from trainer.registry import REQUIRED, entries

PARTS = [(room, name) for room in ROOMS for name in entries(room)]


@pytest.mark.parametrize(("room", "name"), PARTS)
def test_the_yaml_of_a_part_says_every_option_with_the_default_of_its_signature(room: str, name: str) -> None:
    said = yaml.safe_load((conf_folder() / room / f"{name}.yaml").read_text())
    defaults = {key: option.default for key, option in entries(room)[name].options.items()}
    expected = {key: "???" if value is REQUIRED else value for key, value in defaults.items()}
    said.pop("defaults", None)  # what else the part chooses, as characters choose aug=upright
    assert said == {"name": name, **expected}


@pytest.mark.parametrize(("room", "name"), PARTS)
def test_the_yaml_of_a_part_explains_the_part_and_each_option(room: str, name: str) -> None:
    lines = (conf_folder() / room / f"{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    options = [line for line in lines if line and not line.startswith(("#", "name:", "defaults:"))]
    assert all("#" in line for line in options if not line.startswith(" ")), options


@pytest.mark.parametrize("room", ROOMS)
def test_every_yaml_file_of_a_room_belongs_to_a_part(room: str) -> None:
    assert {path.stem for path in (conf_folder() / room).glob("*.yaml")} == set(entries(room))


@pytest.mark.parametrize(("room", "name"), PARTS)
def test_a_part_is_found_by_its_name_and_says_what_it_gives(room: str, name: str) -> None:
    assert registry.REGISTRIES[room].builder(name).__name__ == name
    assert entries(room)[name].summary.endswith(".")


def test_every_room_has_two_real_choices() -> None:
    assert all(len(entries(room)) >= 2 for room in ROOMS)


def write_plugin(folder: Path, name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / f"{name}.py").write_text("from trainer.registry import SCHEDS\n" + body)
    monkeypatch.syspath_prepend(folder)
    return name


def test_a_plugin_brings_a_part_with_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "@SCHEDS.register\ndef ramp(total_steps, *, floor: float = 0.5):\n    return lambda step: floor\n"
    plugin = write_plugin(tmp_path, "plugin_ramp", body, monkeypatch)
    assert entries("sched", [plugin])["ramp"].options["floor"].default == 0.5
    assert registry.SCHEDS.builder("ramp", [plugin])(10, floor=0.25)(3) == 0.25
    assert "ramp" not in entries("sched")


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("@SCHEDS.register\ndef constant(total_steps): ...\n", "'constant' is already in trainer.sched.constant"),
        ("@SCHEDS.register\ndef bare(total_steps, *, floor=1): ...\n", "option 'floor' has no type"),
        ("@SCHEDS.register\ndef odd(total_steps, *, floor: Path = 1): ...\n", "a type that YAML cannot say: Path"),
        ("@SCHEDS.register\ndef made(total_steps, *, floor: int = f()): ...\n", "not plain data: f\\(\\)"),
    ],
)
def test_a_plugin_that_cannot_be_a_part_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, match: str
) -> None:
    plugin = write_plugin(tmp_path, f"plugin_{abs(hash(body))}", body, monkeypatch)
    with pytest.raises(ConfigError, match=match):
        entries("sched", [plugin])


def test_a_task_of_a_plugin_is_refused_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = 'from trainer.registry import TASKS\n\n@TASKS.register\ndef ranking():\n    """Ranks."""\n'
    plugin = write_plugin(tmp_path, "plugin_ranking", body, monkeypatch)
    with pytest.raises(ConfigError, match=r"^task: 'ranking' is a plugin's, .* Choose task=single or task=multi\.$"):
        check({"plugins": [plugin], "task": {"name": "ranking"}}, ["task"])
