"""Out into the world and back: export hub=OWNER/NAME, and model.weights=hf-hub:OWNER/NAME, by a hub on this machine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub, Repository, served
from shared import Ended

from trainer.cli.main import main
from trainer.model import hub as model_hub

Train = Callable[..., Ended]
FILES = ["README.md", "config.json", "model.safetensors", "parity.json"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    with served(monkeypatch, tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str], unbroken: Path, tmp_path: Path) -> Callable[..., Ended]:
    def command(*words: str) -> Ended:
        code = main(["export", str(unbroken), f"output={tmp_path / 'folder'}", *words])
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return command


@pytest.fixture
def published(hub: FakeHub, export: Callable[..., Ended]) -> Repository:
    """What lies on the hub as ada/glyphs."""
    assert export("hub=ada/glyphs").code == 0
    return hub.repositories["ada/glyphs"]


def test_a_run_is_uploaded_in_one_commit_and_what_will_happen_is_told_first(
    hub: FakeHub, export: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = export("hub=ada/glyphs")
    assert ended.code == 0, ended.err
    told, *_, uploaded = ended.out.splitlines()
    place = f"{tmp_path / 'folder'} will go to {hub.url}/ada/glyphs as ada"
    assert told == f"hub: {place}: a new repository, private."
    there = hub.repositories["ada/glyphs"]
    assert uploaded == f"uploaded: {hub.url}/ada/glyphs/commit/{there.commit}"
    assert there.private and sorted(there.files) == FILES and hub.calls == ["commit ada/glyphs"]
    assert all(content == (tmp_path / "folder" / name).read_bytes() for name, content in there.files.items())
    card = there.files["README.md"].decode()
    assert "# ada/glyphs\n" in card and "trainer.load(snapshot_download('ada/glyphs'))" in card
    assert "with `model=small\\_cnn` and its options above: `model.weights=hf-hub:ada/glyphs`" in card


def test_format_hub_uploads_nothing_by_itself(hub: FakeHub, export: Callable[..., Ended], tmp_path: Path) -> None:
    assert export("format=hub").code == 0
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == FILES
    assert not hub.repositories and not hub.calls


def test_everybody_sees_a_repository_only_where_that_was_said(hub: FakeHub, export: Callable[..., Ended]) -> None:
    ended = export("hub=ada/glyphs", "public=true")
    assert "a new repository, public: everybody may see it." in ended.out
    assert not hub.repositories["ada/glyphs"].private


def test_a_folder_that_is_there_goes_as_it_is_with_what_its_owner_added(
    hub: FakeHub, export: Callable[..., Ended], tmp_path: Path
) -> None:
    assert export("format=hub").code == 0
    (tmp_path / "folder" / "LICENSE").write_text("as you like")
    ended = export("hub=ada/glyphs")
    assert ended.code == 0, ended.err
    assert "is there already, of these weights, and goes as it is." in ended.out
    assert hub.repositories["ada/glyphs"].files["LICENSE"] == b"as you like"


def log_out(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")


def forget_the_token(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_old")


def cut_the_network(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.shutdown()
    hub.server_close()


def lack_the_package(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(model_hub, "import_module", missing)


def have(**repositories: Repository) -> Callable[[FakeHub, pytest.MonkeyPatch], None]:
    return lambda hub, _: hub.repositories.update({f"ada/{name}": each for name, each in repositories.items()})


NOT_UPLOADED = {
    "nobody is logged in": (("hub=ada/x",), log_out, 5, "hub=ada/x: nobody is logged in to the hub here. First: hf"),
    "an old token": (("hub=ada/x",), forget_the_token, 5, "does not know the token of this login, or no longer. First"),
    "no network": (("hub=ada/x",), cut_the_network, 5, "hub=ada/x: the hub cannot be reached ("),
    "no package": (("hub=ada/x",), lack_the_package, 2, "is not installed. Install it: pip install 'trainer[hub]'."),
    "no owner": (("hub=x",), have(), 2, "hub=x names no repository of the Hugging Face hub. Say hub=OWNER/NAME."),
    "there and public": (("hub=ada/x",), have(x=Repository()), 2, "and is public. For it say public=true, or choose"),
    "there and private": (("hub=ada/x", "public=true"), have(x=Repository(True)), 2, "For it leave public=true out"),
    "public alone": (("public=true",), have(), 2, "public=true is for what is uploaded. Say where to: hub=OWNER/NAME."),
    "another format": (("hub=ada/x", "format=onnx"), have(), 2, "uploads the folder that format=hub writes"),
}


@pytest.mark.parametrize("name", NOT_UPLOADED)
def test_what_cannot_be_uploaded_is_one_line_before_anything_is_written(
    hub: FakeHub, export: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    words, change, code, message = NOT_UPLOADED[name]
    change(hub, monkeypatch)
    ended = export(*words)
    assert (ended.code, ended.err.count("\n")) == (code, 1), ended.err
    assert message in ended.err
    assert not (tmp_path / "folder").exists() and not hub.calls


def test_a_folder_that_the_hub_refuses_stays_and_the_line_says_what_to_do(
    hub: FakeHub, export: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = export("hub=bob/glyphs")
    assert (ended.code, ended.err.count("\n")) == (5, 1), ended.err
    assert "hub=bob/glyphs: this login may not write there." in ended.err
    assert f"{tmp_path / 'folder'} is whole: once that is mended, say the command again." in ended.err
    assert export("hub=ada/glyphs").code == 0
    assert sorted(hub.repositories["ada/glyphs"].files) == FILES


def test_a_training_begins_from_what_was_uploaded_and_needs_no_network_the_second_time(
    published: Repository, hub: FakeHub, train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.calls.clear()
    first = train("model.weights=hf-hub:ada/glyphs", "epochs=1", "name=first")
    assert first.code == 0, first.err
    place = f"ada/glyphs@{published.commit}/model.safetensors"
    assert f"weights: 20 of 20 tensors loaded from {place}" in first.out
    assert f": the run that made {place}." in first.out, "its pictures are prepared as that run's"
    assert hub.calls.count("GET model.safetensors") == 1 and "the head is new" not in first.out
    cut_the_network(hub, monkeypatch)
    model_hub.fetched.cache_clear()
    assert model_hub.fetched("hf-hub:ada/glyphs") == model_hub.fetched(f"hf-hub:ada/glyphs@{published.commit}")
    model_hub.fetched.cache_clear()
    monkeypatch.setattr(model_hub, "package", None)
    assert train("epochs=2", f"resume={tmp_path / 'outputs' / 'first'}", tiny=False).code == 0, "it has them already"


def test_a_commit_that_is_named_stays_what_it_was(published: Repository, hub: FakeHub) -> None:
    weights = f"hf-hub:ada/glyphs@{published.commit}"
    before = model_hub.fetched(weights)
    published.files["model.safetensors"] = b"another"
    model_hub.fetched.cache_clear()
    assert model_hub.fetched(weights) == before
    assert model_hub.fetched("hf-hub:ada/glyphs") != before


PICKLE = Repository(files={"pytorch_model.bin": b"cos\nsystem\n"})
NOT_FETCHED = {
    "no such repository": ("ada/none", have(), 4, "hf-hub:ada/none is not on the hub, or not for you. Look at"),
    "only a pickle": ("ada/x", have(x=PICKLE), 4, "holds no model.safetensors, and nothing else is fetched"),
    "no such revision": ("ada/x@v2", have(x=PICKLE), 4, "has no revision 'v2'. Name a branch, a tag or a whole commit"),
    "no network": ("ada/x", cut_the_network, 4, "is not in the cache of huggingface_hub, and the hub cannot be"),
    "no package": ("ada/x", lack_the_package, 2, "is not installed. Install it: pip install 'trainer[hub]'."),
    "no owner": ("x", have(), 2, "'hf-hub:x' names no repository of the Hugging Face hub. Say hf-hub:OWNER/NAME"),
    "an odd name": ("ada/x..y", have(), 4, "weights: hf-hub:ada/x..y did not arrive ("),
}


@pytest.mark.parametrize("name", NOT_FETCHED)
def test_weights_that_cannot_be_fetched_are_one_line(
    hub: FakeHub, train: Train, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    weights, change, code, message = NOT_FETCHED[name]
    change(hub, monkeypatch)
    ended = train(f"model.weights=hf-hub:{weights}")
    assert (ended.code, ended.err.count("\n")) == (code, 1), ended.err
    assert message in ended.err
    assert not [call for call in hub.calls if call.startswith("GET")], "a pickle is not even fetched"
