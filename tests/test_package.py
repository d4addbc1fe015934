"""What is handed on: what a wheel holds, and the versions that CI installs."""

import re
import subprocess
import sys
import tomllib
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SAID = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = [
    Requirement(line)
    for lines in (SAID["project"]["dependencies"], *SAID["project"]["optional-dependencies"].values())
    for line in lines
]
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==(.+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return ZipFile(next(folder.glob("*.whl")))


def below(folder: str, pattern: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob(pattern) if "__pycache__" not in path.parts}


def test_a_wheel_holds_the_package_its_kernels_its_pages_and_its_configs_and_nothing_else(wheel: ZipFile) -> None:
    code = below("trainer", "*.py") | below("trainer", "*.[ch]") | {"trainer/py.typed"}
    pages = below("trainer/report/page", "*.html") | {"trainer/report/page/page.css"}
    configs = {f"trainer/{path}" for path in below("conf", "*.yaml")}
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == code | pages | configs


def test_a_wheel_runs_from_any_folder(wheel: ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    code, environment = (
        "import trainer.cli.main; trainer.cli.main.script()",
        {"PYTHONPATH": f"{tmp_path}/site", "PATH": ""},
    )
    for words in (["--help"], ["experiment=smoke", "device=cpu", f"output={tmp_path / 'outputs'}"]):
        command = [sys.executable, "-c", code, *words]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    assert "best val_accuracy" in ended.stdout


def test_a_wheel_says_that_it_is_typed_and_with_which_python_it_is_tested(wheel: ZipFile) -> None:
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    said = message_from_bytes(wheel.read(metadata)).get_all("Classifier")
    assert said == ["Programming Language :: Python :: 3.11", "Typing :: Typed"]


@pytest.mark.parametrize("requirement", DEPENDENCIES, ids=lambda requirement: requirement.name)
def test_the_lock_has_a_version_of_each_dependency_within_its_range(requirement: Requirement) -> None:
    assert LOCKED[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lock_holds_what_is_built_for_every_platform() -> None:
    assert not [name for name in LOCKED if re.match("nvidia|cuda|triton", name)]
    assert not [version for version in LOCKED.values() if "+" in version]
