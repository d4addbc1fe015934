"""What is handed on: what a wheel holds, the versions that CI installs, the image, and what a forge reads."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from email import message_from_bytes
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import trainer

ROOT = Path(__file__).parent.parent
SAID = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = [
    Requirement(line)
    for extra, lines in {"": SAID["project"]["dependencies"], **SAID["project"]["optional-dependencies"]}.items()
    if extra not in ("ray", "trackio")  # .ci/lock.py says why
    for line in lines
    if Requirement(line).name != SAID["project"]["name"]  # dev names our own extras
]
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==(.+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


IMAGE = (ROOT / "Dockerfile").read_text()
STAGES = re.findall(r"^FROM \S+(?: AS (\S+))?$", IMAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """Built of the source distribution, which so is known to hold all that it takes."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
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


@pytest.mark.slow
def test_a_wheel_runs_from_any_folder_without_a_compiler_or_a_home(wheel: ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    code, environment = (
        "import trainer.cli.main; trainer.cli.main.script()",
        {"PYTHONPATH": f"{tmp_path}/site", "PATH": "", "HOME": f"{tmp_path}/site/trainer/py.typed/home"},
    )
    for words in (["--help"], ["experiment=smoke", "device=cpu", f"output={tmp_path / 'outputs'}"]):
        command = [sys.executable, "-c", code, *words]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    assert "best val_accuracy" in ended.stdout
    if sys.platform == "linux":  # elsewhere there are no kernels to miss
        assert "kernels=auto: no gcc is on the PATH" in ended.stdout
    assert "are kept in memory" in ended.stdout


def test_a_wheel_says_that_it_is_typed_and_with_which_python_it_is_tested(wheel: ZipFile) -> None:
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    said = message_from_bytes(wheel.read(metadata)).get_all("Classifier")
    assert said == ["Programming Language :: Python :: 3.11", "Typing :: Typed"]


def test_a_wheel_has_the_version_that_the_package_says(wheel: ZipFile) -> None:
    assert Path(str(wheel.filename)).name.startswith(f"trainer-{trainer.__version__}-")


@pytest.mark.parametrize("requirement", DEPENDENCIES, ids=lambda requirement: requirement.name)
def test_the_lock_has_a_version_of_each_dependency_within_its_range(requirement: Requirement) -> None:
    assert LOCKED[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lock_holds_what_is_built_for_every_platform() -> None:
    assert not [name for name in LOCKED if re.match("nvidia|cuda|triton", name)]
    assert not [version for version in LOCKED.values() if "+" in version]


def said_in(path: str) -> Any:
    return yaml.safe_load((ROOT / ".github" / path).read_text())


def test_the_workflow_runs_what_ci_runs_and_nothing_else_from_the_oldest_python_on() -> None:
    job = said_in("workflows/ci.yml")["jobs"]["ci"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    versions = job["strategy"]["matrix"]["python"]
    assert versions == [f"3.{minor}" for minor in range(11, 15)]
    assert SAID["project"]["requires-python"] == f">={versions[0]}"


@pytest.mark.parametrize(
    "template", ["ISSUE_TEMPLATE/fault.yml", "ISSUE_TEMPLATE/wish.yml", "PULL_REQUEST_TEMPLATE.md"]
)
def test_whoever_writes_to_us_is_asked_for_run_json(template: str) -> None:
    assert "run.json" in (ROOT / ".github" / template).read_text()


def test_a_report_of_a_fault_comes_with_its_run_json() -> None:
    fields = {field["id"]: field for field in said_in("ISSUE_TEMPLATE/fault.yml")["body"]}
    assert fields["run"]["attributes"]["label"] == "run.json" and fields["run"]["validations"]["required"]


def test_the_image_sees_nothing_of_the_folder_but_what_it_copies() -> None:
    copied = {source for words in re.findall(r"^COPY (.+) \S+$", IMAGE, re.MULTILINE) for source in words.split()}
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*" and {rule[1:] for rule in rules if rule.startswith("!")} == copied


def test_nothing_in_the_image_runs_as_root() -> None:
    for stage in re.split(r"^FROM .+$", IMAGE, flags=re.MULTILINE)[2:]:  # behind what both are made of
        assert re.findall(r"^USER (\S+)$", stage, re.MULTILINE) == ["trainer"]


def test_the_devcontainer_is_a_stage_of_the_image() -> None:
    said = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert said["build"]["target"] in STAGES and said["remoteUser"] == "trainer"
    assert (ROOT / ".devcontainer" / said["build"]["dockerfile"]).samefile(ROOT / "Dockerfile")


def docker_answers() -> bool:
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not docker_answers(), reason="no Docker daemon answers here")
@pytest.mark.timeout(1800)
def test_the_image_trains_and_the_devcontainer_has_make(tmp_path: Path) -> None:
    """It fetches what the image is made of: the one test that needs a network."""
    for stage, command in (("dev", ["make", "--version"]), ("", ["experiment=smoke"])):
        tag = f"trainer-test{stage}"
        build = ["docker", "build", "--tag", tag, *(["--target", stage] if stage else []), str(ROOT)]
        subprocess.run(build, check=True, capture_output=True)
        tmp_path.chmod(0o777)
        run = ["docker", "run", "--rm", "--volume", f"{tmp_path}:/work", tag, *command]
        ended = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "best val_accuracy" in ended.stdout
