"""benchmarks/results/<machine>.json: what was measured on which machine, one section a benchmark."""

import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
_PACKAGES = ("torch", "torchvision", "fastai", "lightning", "timm", "pillow", "numpy")


def machine() -> dict[str, Any]:
    """Processor, cores, memory and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def path() -> Path:
    """This machine's file, named by its processor and cores."""
    words = re.sub(r"\(.*?\)|cpu|processor|@.*", " ", _processor().lower())
    return FOLDER / f"{'-'.join(re.findall(r'[a-z0-9]+', words))}-{os.cpu_count()}-cores.json"


def read(name: str | None = None) -> dict[str, Any]:
    """The sections of the named file, or of this machine's; none where nothing was measured yet."""
    file = FOLDER / name if name else path()
    content: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return content


def write(section: str, value: Any) -> None:
    """Puts a section into this machine's file; the others stay. Versions of packages that are not here stay, too."""
    file, before = path(), read()
    now = machine()
    now["versions"] = {**before.get("machine", {}).get("versions", {}), **now["versions"]}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({**before, "machine": now, section: value}, indent=1, ensure_ascii=False) + "\n")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1] for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    )
    return names[0].strip() if names else platform.processor() or platform.machine()
