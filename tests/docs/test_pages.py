"""Every command of README and docs is one that the program takes, and what a page shows is what its commands print.

The language of a fenced block says what becomes of it:

- `console`: commands behind `$`, and what they print. They are run as they stand, in this process, in the order of the
  page, in one folder; outputs compare but for what tests/pages.py lists. UPDATE_DOCS=1 writes them anew: read them.
- `sh`: commands whose output is not shown. Each is taken apart and checked as the program does before it begins, so
  that a misspelt word is found, and not run.
- `python`, `yaml`, `csv`: run (Python), or the file that its first line or the comment before it names, for the
  commands below it. `text`: for the eye.

A comment before a block says what is particular: `<!-- not run: REASON -->`, where the machine of the tests lacks
what it needs; its commands are checked all the same. `<!-- pictures -->`: eight tiny pictures for each file that is
listed, counted on from its number. `<!-- file: NAME -->`: the file that is shown. `<!-- after PAGE -->`, at the top of
a page: it goes on in the folder of that page.
"""

import importlib.util
import io
import os
import re
import runpy
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pages import PAGES, ROOT, Block, alike, blocks_of
from PIL import Image

from trainer.cli import main as program
from trainer.cli import verbs
from trainer.cli.compose import Origin
from trainer.cli.on_runs import ON_RUNS
from trainer.config import conf_folder
from trainer.errors import ConfigError

LANGUAGES = {"console", "sh", "python", "yaml", "csv", "text", "json", "mermaid"}
ELSEWHERE = {"git", "source", "cd", "export"}
"""What a shell may be told besides, and no test looks at."""
RUN = [page for page in PAGES if any(block.language == "console" and not block.mark for block in blocks_of(page))]
SEVERAL = 8
"""Pictures that stand for one that is listed: enough to hold some out."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is_and_why_it_is_not_run(page: Path) -> None:
    indented = re.findall(r"^ {4,}(?:\$ )?python -m .*", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert not indented, "commands stand between fences, where they are looked at"
    for block in blocks_of(page):
        assert block.language in LANGUAGES, f"{block.place}: say which of {sorted(LANGUAGES)} it is"
        assert block.not_run is None or len(block.not_run) > 10, f"{block.place}: say why it is not run"
        assert block.language != "console" or block.text.startswith("$ "), f"{block.place}: a command stands first"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the program take a command as far as its last check, and do nothing. Raises what it raises."""
    nothing = SimpleNamespace(run=lambda *_, **__: 0, run_each=lambda *_, **__: 0)
    for module in (program, verbs):
        monkeypatch.setattr(module, "import_module", lambda _: nothing)
    anywhere = {verb: replace(takes, check=lambda place: None) for verb, takes in ON_RUNS.items()}
    monkeypatch.setattr(verbs, "ON_RUNS", anywhere)
    here = Origin(conf_folder())
    monkeypatch.setattr(program, "_origin", lambda *_: here)
    monkeypatch.setattr(program, "_stored", lambda _: None)
    monkeypatch.setattr(program, "_prepare", lambda _: None)
    monkeypatch.setattr("trainer.sweep.multirun.run_many", lambda _: 0)
    monkeypatch.setattr("trainer.sweep.multirun.hand_to_hydra", lambda _: None)

    def take(command: str) -> None:
        words = shlex.split(re.sub(r"(^| )\.venv\S*/bin/", r"\1", command), comments=True)
        while re.fullmatch(r"[A-Z0-9_]+=.*", words[0]):
            words.pop(0)
        if "torchrun" in words:  # it starts what stands behind its own words
            words = ["python", *words[words.index("-m") :]]
        if words[:3] == ["python", "-m", "trainer"]:
            program._dispatch([word for word in words[3:] if word not in ("&",)])
        elif words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]), f"there is no module {words[2]}"
        elif words[0] == "make":
            named = {word for word in words[1:] if "=" not in word}
            assert named <= targets(), f"the Makefile has no {named - targets()}"
        elif words[:2] == ["pip", "install"]:
            asked = {extra for each in re.findall(r"trainer\[(.+?)\]", command) for extra in each.split(",")}
            assert asked <= extras(), f"there is no extra {asked - extras()}"
        else:
            assert words[0] in ELSEWHERE, f"{words[0]} is nothing that a test can check: mark the block as not run"

    return take


@cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def extras() -> frozenset[str]:
    return frozenset(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


@pytest.fixture(scope="session")
def known() -> set[tuple[str, ...]]:
    """The commands that were taken before, from another page: once is enough."""
    return set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_that_the_program_takes(
    page: Path, taken: Callable[[str], None], known: set[tuple[str, ...]]
) -> None:
    run_as_they_stand = [block for block in blocks_of(page) if block.language == "console" and not block.mark]
    for block in blocks_of(page):
        for command in block.commands if block not in run_as_they_stand else ():
            words = tuple(shlex.split(command, comments=True))
            try:
                if words not in known:
                    taken(command)
            except (ConfigError, AssertionError) as error:
                pytest.fail(f"{block.place}: {command}\n{error}")
            known.add(words)


@pytest.mark.parametrize("command", ["python -m trainer optim.lrr=1", "python -m trainer predict RUN P topq=1"])
def test_a_misspelt_word_in_a_page_is_found(command: str, taken: Callable[[str], None]) -> None:
    with pytest.raises(ConfigError, match="Did you mean"):
        taken(command)


def test_an_output_that_is_another_one_is_found() -> None:
    shown = ["loss 2.30 in 3.1 s", "…", "best 50.0% of all …"]
    assert not alike(shown, ["loss 2.31 in 44 s", "a", "b", "best 66.6% of all 10"])
    assert alike(shown, ["loss 2.31 in 44 s", "a", "b", "best 50.1% of all 10"])
    assert not alike(shown, ["loss 3.31 in 44 s", "a", "b", "best 50.1% of all 10"])
    assert not alike(shown, ["loss 2.31 in 44 s", "a", "b", "best 50.1% of one"])
    assert not alike(["one"], ["one", "two"])


@pytest.fixture(scope="session")
def folder_after(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """The folder in which the commands of a page were run: that of the page that it goes on from, and then its own."""

    @cache
    def after(page: Path) -> Path:
        before = re.search(r"^<!-- after (\S+) -->$", page.read_text(encoding="utf-8"), re.MULTILINE)
        folder = tmp_path_factory.mktemp("pages") / page.stem
        shutil.copytree(after(page.parent / before[1]), folder) if before else folder.mkdir()
        run_page(page, folder)
        return folder

    return after


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_what_a_page_shows_is_what_its_commands_print(page: Path, folder_after: Callable[[Path], Path]) -> None:
    folder_after(page)


def run_page(page: Path, folder: Path) -> None:
    """Does what a page says, in the folder. Fails where what is printed is not what it shows.

    Everywhere as on a CPU that computes in fp32, for that is what the pages show.
    """
    with pytest.MonkeyPatch.context() as here:
        here.setattr("torch.cuda.is_available", lambda: False)
        here.setattr("torch.backends.mps.is_available", lambda: False)
        here.setattr("trainer.engine.precision._fast_bf16", lambda device: False)
        here.chdir(folder)
        here.syspath_prepend(folder)
        names: dict[str, object] = {}
        wrong = [told for block in blocks_of(page) if block.not_run is None for told in follow(block, folder, names)]
    assert not wrong, "\n\n".join(wrong)


def follow(block: Block, folder: Path, names: dict[str, object]) -> list[str]:
    """What one block says, done; and what it shows wrongly."""
    if block.mark == "pictures":
        draw(block, folder)
    elif block.file:
        (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / block.file).write_text(block.text, encoding="utf-8")
    elif block.language == "python":
        exec(compile(block.text, block.place, "exec"), names)
    elif block.language == "console":
        return [told for command, shown in block.session if (told := compared(block, command, shown))]
    return []


def compared(block: Block, command: str, shown: Sequence[str]) -> str:
    """What a console block shows wrongly for one of its commands; nothing where it is right."""
    printed = output_of(command).splitlines()
    while printed and not printed[-1]:
        printed.pop()
    if alike(shown, printed):
        return ""
    if os.environ.get("UPDATE_DOCS"):
        text, old, new = (block.page.read_text(encoding="utf-8"), "\n".join(shown), "\n".join(printed))
        head = f"$ {command}\n"
        block.page.write_text(text.replace(head + old, head + new, 1), encoding="utf-8")
        return ""
    return f"{block.place}: $ {command}\nshows\n" + "\n".join(shown) + "\nprints\n" + "\n".join(printed)


def output_of(command: str) -> str:
    """What a command prints, on both streams."""
    words = shlex.split(command, comments=True)
    if words[0] != "python":
        ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        return ended.stdout + ended.stderr
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with redirect_stdout(printed), redirect_stderr(printed):
        if words[1:3] == ["-m", "trainer"]:
            program.main(words[3:])
        elif words[1] == "-c":
            exec(words[2], {})
        else:
            runpy.run_path(words[1], run_name="__main__")
    printed.seek(0)
    return printed.read()


def draw(block: Block, folder: Path) -> None:
    """Eight small pictures for each file that the block lists: 1.jpg to 8.jpg for 1.jpg."""
    rng = np.random.default_rng(0)
    for line in block.text.split():
        first = int(re.findall(r"\d+", line)[-1])
        (folder / line).parent.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + SEVERAL):
            pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / re.sub(r"\d+(?=\.\w+$)", str(number), line))
