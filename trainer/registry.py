"""Names -> builders. A part is a function, registered under its own name in the registry of its room.

The star in a part's signature divides code from config: left of it stands what `build/` hands over, right of it what
YAML may say. Names, types and defaults of the options are read from the SOURCE (with `ast`), so that a config is
checked before any part, and with it torch, is imported.
"""

import ast
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from trainer import schema
from trainer.errors import ConfigError, did_you_mean

Builder = TypeVar("Builder", bound=Callable[..., Any])
REQUIRED = object()
_PLAIN_TYPES = {each.__name__: each for each in (int, float, bool, str, list, dict)}
"""What an annotation may name besides the types of schema: nothing that could run."""


@dataclass(frozen=True)
class Option:
    """One word that YAML may say to a part: its type and its default (REQUIRED where it has none)."""

    annotation: Any
    default: Any


@dataclass(frozen=True)
class Entry:
    """Where a part is defined, its options, and the first line of its docstring."""

    room: str
    name: str
    module: str
    options: dict[str, Option]
    summary: str


class Registry:
    """The parts of one room."""

    def __init__(self, room: str) -> None:
        self.room = room
        self._builders: dict[tuple[str, str], Callable[..., Any]] = {}

    def register(self, builder: Builder) -> Builder:
        """Decorator: the function becomes the part of its own name."""
        self._builders[builder.__module__, builder.__name__] = builder
        return builder

    def builder(self, name: str, plugins: Sequence[str] = ()) -> Callable[..., Any]:
        """The function registered as name. Imports the one module that defines it."""
        module = entry(self.room, name, plugins).module
        try:
            importlib.import_module(module)
        except ImportError as error:
            if module not in plugins:
                raise
            raise ConfigError(f"plugins: '{module}' cannot be imported: {error}.") from error
        return self._builders[module, name]  # of one run's plugin: another run in this process may have its own


TASKS = Registry("task")
DATA = Registry("data")
AUGS = Registry("aug")
MODELS = Registry("model")
INITS = Registry("init")
LOSSES = Registry("loss")
OPTIMS = Registry("optim")
SCHEDS = Registry("sched")
FINETUNES = Registry("finetune")

REGISTRIES = {
    registry.room: registry for registry in (TASKS, DATA, AUGS, MODELS, INITS, LOSSES, OPTIMS, SCHEDS, FINETUNES)
}
_ROOM_OF_VARIABLE = {name: value.room for name, value in globals().items() if isinstance(value, Registry)}


def entries(room: str, plugins: Sequence[str] = ()) -> dict[str, Entry]:
    """Every part of a room by name, the plugins' included, without importing any of them.

    Raises ConfigError if a plugin is not found, is no Python source, or takes a name that is taken.
    """
    found: dict[str, Entry] = {}
    modules = [f"trainer.{room}.{path.stem}" for path in sorted((Path(__file__).parent / room).glob("[!_]*.py"))]
    for module in [*modules, *plugins]:
        for part in _parts_of(module):
            if part.room != room:
                continue
            if part.name in found:
                raise ConfigError(f"plugin '{module}': {room} '{part.name}' is already in {found[part.name].module}.")
            found[part.name] = part
    return found


def entry(room: str, name: str, plugins: Sequence[str] = ()) -> Entry:
    """The entry of one part. Raises ConfigError with the nearest name if there is none."""
    found = entries(room, plugins)
    if name not in found:
        raise ConfigError(unknown(room, name, found))
    return found[name]


def unknown(room: str, name: str, names: Sequence[str] | dict[str, Entry]) -> str:
    """The one line that says that a room has no such part, with the nearest and all valid names."""
    return f"{room}: there is no {room} '{name}'.{did_you_mean(name, names)} There is {', '.join(sorted(names))}."


def keyword_options(module: str, function: str) -> dict[str, Option]:
    """What stands right of the star in the signature of a function, read from the module's source."""
    found = [node for node in _tree_of(module).body if isinstance(node, ast.FunctionDef) and node.name == function]
    return _options(found[0], module)


@cache
def _parts_of(module: str) -> tuple[Entry, ...]:
    functions = [node for node in _tree_of(module).body if isinstance(node, ast.FunctionDef)]
    return tuple(_read(function, room, module) for function in functions for room in _rooms_of(function))


def _tree_of(module: str) -> ast.Module:
    path = _source_of(module)
    if not path.exists():
        raise ConfigError(f"plugins: there is no Python module '{module}'.")
    try:
        return ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        raise ConfigError(f"plugins: {path}, line {error.lineno}: {error.msg}.") from None


def _source_of(module: str) -> Path:
    if module.startswith("trainer."):  # beside this file: asking the import system would import the room's package
        return Path(__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise ConfigError(f"plugins: there is no Python module '{module}'. Is its folder on PYTHONPATH?")
    return Path(spec.origin)


def _rooms_of(function: ast.FunctionDef) -> list[str]:
    """The rooms whose registry decorates the function: @SCHEDS.register, or @registry.SCHEDS.register."""
    rooms = []
    for decorator in function.decorator_list:
        words = ast.unparse(decorator).split(".")
        if words[-1] == "register" and len(words) > 1 and words[-2] in _ROOM_OF_VARIABLE:
            rooms.append(_ROOM_OF_VARIABLE[words[-2]])
    return rooms


def _options(function: ast.FunctionDef, module: str) -> dict[str, Option]:
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {argument.arg: _option(argument, default, module) for argument, default in pairs}


def _read(function: ast.FunctionDef, room: str, module: str) -> Entry:
    summary = (ast.get_docstring(function) or "").split("\n")[0]
    return Entry(room, function.name, module, _options(function, module), summary)


def _option(argument: ast.arg, default: ast.expr | None, module: str) -> Option:
    where = f"{module}: option '{argument.arg}'"
    if argument.annotation is None:
        raise ConfigError(f"{where} has no type. Give it one of Python's or of trainer.schema.")
    try:
        annotation = eval(ast.unparse(argument.annotation), {**vars(schema), "__builtins__": _PLAIN_TYPES})
        schema.describe(annotation)
    except (NameError, AttributeError, KeyError, TypeError):
        written = ast.unparse(argument.annotation)
        raise ConfigError(f"{where} has a type that YAML cannot say: {written}. See trainer.schema.") from None
    try:
        return Option(annotation, REQUIRED if default is None else ast.literal_eval(default))
    except ValueError:
        raise ConfigError(
            f"{where} has a default that is not plain data: {ast.unparse(default or argument)}."
        ) from None
