"""Prints requirements.lock: of all that the project asks for, extras included, the versions that are installed here.

It follows what each package says that it requires. What is required on one platform alone (CUDA's libraries, say) is
left out, as are local suffixes (+cpu): so the versions hold wherever the packages are built for.
"""

import platform
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEADER = """\
# The versions that are tested together: `make lock` writes down those in .venv. Here it is of Python {python}.
# CI installs them: make setup CONSTRAINTS=requirements.lock. A plain make setup keeps to pyproject.toml's open ranges.
"""
PLATFORMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
)


SAID = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = SAID["project"]["optional-dependencies"]
EXTRAS.pop("ray")  # hydra-ray-launcher 1.2.2 wants cloudpickle < 3, joblib 1.6 wants 3: no one version for all
EXTRAS.pop("trackio")  # trackio 0.43 wants pillow < 13, and Pillow 12.3 ends the process over some TIFF files


def asked_for() -> list[Requirement]:
    """What pyproject.toml names: to build, to run, and for every extra."""
    lists = [SAID["build-system"]["requires"], SAID["project"]["dependencies"], *EXTRAS.values()]
    named = [Requirement(line) for lines in lists for line in lines]
    return [each for each in named if each.name != SAID["project"]["name"]]  # dev names our own extras


def everywhere(requirement: Requirement, extras: set[str]) -> bool:
    """Is it required on every platform, with these extras?"""
    marker = requirement.marker
    return marker is None or all(
        any(marker.evaluate({**here, "extra": extra}) for extra in extras or {""}) for here in PLATFORMS
    )


def versions() -> dict[str, str]:
    """The packages that are reached from those asked for, by name, and their versions without a local suffix."""
    found: dict[str, str] = {}
    waiting, seen = asked_for(), set[tuple[str, frozenset[str]]]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        reached = name, frozenset(requirement.extras)
        if reached in seen:
            continue
        seen.add(reached)
        try:
            package = distribution(name)
        except PackageNotFoundError as error:
            advice = f".venv/bin/python -m pip install --editable '.[{','.join(EXTRAS)}]'"
            raise SystemExit(f"{name} is not installed. A lock holds every extra's packages: {advice}") from error
        found[name] = package.version.partition("+")[0]
        waiting += [each for each in map(Requirement, package.requires or ()) if everywhere(each, requirement.extras)]
    return found


if __name__ == "__main__":
    print(HEADER.format(python=platform.python_version()), end="")
    for name, version in sorted(versions().items()):
        print(f"{name}=={version}")
