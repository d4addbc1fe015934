"""Words that look like numbers, like truths or like nothing: where the schema says text, they stay what was typed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from shared import TINY, Ended

from trainer.cli.compose import Origin, compose, value_of
from trainer.cli.main import main
from trainer.cli.words import quoted, shown, spelled
from trainer.config import Config, conf_folder
from trainer.errors import ConfigError
from trainer.records.folder import RunFolder
from trainer.sweep.combinations import batches

Train = Callable[..., Ended]

TYPED = [
    "2024_01_05", "11_1", "1e3", "1E3", "007", "+1", "-0", "0x1F", "0o17", "1:30", "1.0", ".5", "1_0.5e1_0", "inf",
    "NaN", "true", "False", "yes", "off", "Null", "NULL", "~", "???", "a b", " a", "a ", "a=b", "=", "a,b", ",", "it's",
    'say "x"', "'", '"', "'a'b", "a\\b", "a\\", "\\", "\\'", "a\\,b", "C:\\x\\", "[a]", "[", "{a: 1}", "}", "(1)",
    "photos (1)", "choice(a,b)", "range(1,4)", "str(7)", "interval(0,1)", "#x", "a # b", "a: b", "- a", "&a", "*a",
    "!a", "%a", "@a", "`a", "|", ">", "müll", "犬", "🐕", "2024-01-05", "a\nb", "\t", "a\u2028b", "\x85", "$", "$x",
    "a{b}", "12:30:45.5",
]  # fmt: skip
"""What Hydra's grammar or YAML would read as something else, and much that they would not."""

texts = st.sampled_from(TYPED) | st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=12)
typed = texts.filter(lambda text: "${" not in text and text != "null" and shown(f"x={text}") != f"x={text[1:-1]}")
"""Without what has a meaning of its own: ${…}, null, and quotes around the whole."""
lists = st.lists(typed, min_size=1, max_size=6, unique=True)


def said(*words: str) -> Config:
    """The config of these words."""
    return compose(spelled(words), Origin(conf_folder()))


def composed_as_in_a_multirun(word: str) -> list[str]:
    """Each job's value of a word, as the sweeper writes the job's words and composing reads them."""
    parse = OverridesParser.create().parse_override
    jobs = batches([parse(each) for each in spelled([word])], None)[0]
    return [str(parse(job[0]).value()) for job in jobs]


@pytest.mark.parametrize("text", TYPED)
def test_a_folder_is_the_one_that_is_typed(text: str) -> None:
    assert value_of("output", spelled([f"output={text}"])) == text
    assert composed_as_in_a_multirun(f"data.root={quoted(text) if ',' in text else text}") == [text]


@given(typed)
@settings(max_examples=80, deadline=None)
def test_the_name_that_is_typed_is_the_name_that_is_read(text: str) -> None:
    assert value_of("name", spelled([f"name={text}"])) == text
    assert composed_as_in_a_multirun(f"name={text}") == [text]


@given(lists)
@settings(max_examples=50, deadline=None)
def test_texts_between_commas_or_in_a_list_stay_as_typed(several: list[str]) -> None:
    words = ",".join(
        quoted(each) if set(each) & set(",'\"[](){}") or each != each.strip() else each for each in several
    )
    assert composed_as_in_a_multirun(f"data.root={words}") == several
    read = OverridesParser.create().parse_override(spelled([f"optim.decay_on=[{words}]"])[0])
    assert read.value() == several


@given(typed, typed, lists)
@settings(max_examples=5, deadline=None)
def test_text_arrives_as_typed_and_is_stored_so(name: str, root: str, classes: list[str]) -> None:
    assume("???" not in (name, root))  # YAML's word for what is still to be said
    mapping = ", ".join(f"{quoted(each)}: {number}" for number, each in enumerate(classes, 1))
    config = said(
        f"output={name}", "data=table", f"data.file={quoted(root)}", f"data.label={quoted(name)}",
        f"loss.class_weights={{{mapping}}}", f"optim.decay_on=[{quoted(root)}]",
    )  # fmt: skip
    data, weights = config.parts["data"].options, config.parts["loss"].options["class_weights"]
    assert (Path(config.settings.output), data["file"], data["label"]) == (Path(name).expanduser(), root, name)
    assert weights == {each: float(number) for number, each in enumerate(classes, 1)}
    assert config.parts["optim"].options["decay_on"] == [root]


@given(typed, lists)
@settings(max_examples=5, deadline=None)
def test_a_stored_config_is_read_as_it_was(text: str, classes: list[str]) -> None:
    assume(text != "???")
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        weights = dict.fromkeys([*classes, "${x}", "a\\${x}"], 1.0)
        config = said("data=table", f"data.file={quoted(text)}", "data.label=\\${x}", "loss.class_weights={a:1}")
        config.parts["loss"].options["class_weights"] = weights
        RunFolder(Path(folder)).write_config(config)
        assert RunFolder(Path(folder)).read_config() == config
        assert compose([], Origin(Path(folder))) == config


@pytest.mark.slow
@pytest.mark.parametrize("word", ["2024_01_05", "1e3", "true", "it's, 50 %", "a=b\\c", "müll"])
def test_a_run_is_named_found_and_gone_on_with_by_the_name_that_was_typed(
    train: Train, tmp_path: Path, word: str
) -> None:
    first = train("aug=none", "epochs=1", f"name={word}")
    folder = tmp_path / "outputs" / word
    assert first.code == 0 and (folder / "summary.json").exists(), first.err
    assert yaml.safe_load((folder / "config.yaml").read_text())["name"] == word
    assert "is finished" in train("aug=none", "epochs=1", f"name={word}", "resume=auto").out
    assert main([f"resume={folder}", "epochs=1"]) == 0
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [word]


def test_a_multirun_reads_folders_and_class_names_as_typed(train: Train, tmp_path: Path) -> None:
    names = ("1_1", "a b", "it's")
    for root in names:
        for label in ("007", "1e3"):
            (tmp_path / root / label).mkdir(parents=True)
            for index in range(8):
                Image.new("RGB", (12, 12), (index, len(label) * 9, 7)).save(tmp_path / root / label / f"{index}.png")
    roots = ",".join(f"{tmp_path / root}" for root in names)
    words = ("data=folder", f"data.root={roots}", "loss.class_weights={007:1,1e3:2}", "epochs=1", *TINY[3:5], *TINY[6:])
    ended = train("-m", "name=3_1", *words, tiny=False)
    assert ended.code == 0, ended.err + ended.out
    folder = tmp_path / "outputs" / "multirun" / "3_1"
    stored = [yaml.safe_load((folder / str(job) / "config.yaml").read_text()) for job in range(len(names))]
    assert [each["data"]["root"] for each in stored] == [f"{tmp_path / root}" for root in names]
    assert all(each["loss"]["class_weights"] == {"007": 1.0, "1e3": 2.0} for each in stored)
    assert f"data.root={tmp_path / 'a b'}" in ended.out
    assert train("-m", "name=3_1", *words, "resume=auto", tiny=False).out.count("is finished") == len(names)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("name=null", None),
        ("name='null'", "null"),
        ('name="null"', "null"),
        ("name='a,b'", "a,b"),
        ("name=x_${seed}", "x_0"),
        ("++name=1_1", "1_1"),
        ("name='it\\'s'", "it's"),
    ],
)
def test_null_quotes_and_keys_of_the_config_keep_their_meaning(word: str, text: str | None) -> None:
    assert said(word).settings.name == text


def test_null_is_text_where_there_must_be_text() -> None:
    config = said("data=table", "data.file=null", "data.label=null", "data.root=null", "optim.decay_on=[null]")
    data = config.parts["data"].options
    assert (data["file"], data["label"], data["root"]) == ("null", None, None)
    assert config.parts["optim"].options["decay_on"] == ["null"]
    assert said("optim.decay_on=null", "loss.class_weights={null:2}").parts["loss"].options == {
        **said().parts["loss"].options,
        "class_weights": {"null": 2.0},
    }


def test_the_arguments_of_a_torchvision_set_are_numbers_only_where_they_are_written_as_one() -> None:
    words = ("data=torchvision", "data.set=X", "data.arguments={a:7,b:1_0,c:1e3,d:true,e:TRUE,f:007,g:'8',h: x y}")
    arguments = said(*words).parts["data"].options["arguments"]
    assert arguments == {"a": 7, "b": "1_0", "c": "1e3", "d": True, "e": "TRUE", "f": "007", "g": "8", "h": "x y"}


def test_a_mapping_that_is_said_is_the_mapping(tmp_path: Path) -> None:
    recipe = tmp_path / "experiment" / "1e3.yaml"
    recipe.parent.mkdir()
    recipe.write_text("# @package _global_\nloss: {class_weights: {a: 1, b: 2}}\n")
    config = compose(
        spelled(["experiment=1e3", "loss.class_weights={b:3}"]), Origin(conf_folder(), besides=(tmp_path,))
    )
    assert config.parts["loss"].options["class_weights"] == {"b": 3.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("name: 007", "name"),
        ("name: 2024_01_05", "name"),
        ("output: 1e3", "output"),
        ("name: yes", "name"),
        ("plugins: [1_1]", "plugins"),
        ("resume_allow: [on]", "resume_allow"),
        ("loss: {class_weights: {007: 1}}", "loss.class_weights"),
    ],
)
def test_a_number_in_a_yaml_file_is_no_text_and_quotes_are_asked_for(
    train: Train, tmp_path: Path, written: str, key: str
) -> None:
    recipe = tmp_path / "experiment" / "mine.yaml"
    recipe.parent.mkdir()
    recipe.write_text(f"# @package _global_\n{written}\n")
    words = [word for word in TINY if not word.startswith(key)]
    ended = main(["--config-dir", str(tmp_path), "experiment=mine", *words])
    assert ended == 2
    with pytest.raises(ConfigError, match=rf"^{key}: .*Text that looks like a number, or like true, wants quotes\.$"):
        compose(["experiment=mine"], Origin(conf_folder(), besides=(tmp_path,)))


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("optim.lr=interval(1e-4,1e-2)", "an interval wants a sweeper that searches: add hydra/sweeper=optuna"),
        ("optim.lr=tag(a,interval(1e-4,1e-2))", "an interval wants a sweeper that searches"),
        ("optim.lr=shuffle(0.1,0.2)", "shuffle draws another order each time"),
        ("epochs=shuffle(range(1,4))", "shuffle draws another order each time"),
        ("model=glob(*)", "a search looks names up: add hydra/sweeper=optuna"),
        ("epochs=range(4,1)", "there is no value in it"),
        ("epochs=range(1,4,0)", "a range cannot go by steps of 0"),
        ("optim.lr=range(0.1,0.4,0.0)", "a range cannot go by steps of 0"),
    ],
)  # fmt: skip
def test_values_that_make_no_list_are_told_for_what_they_are(
    capsys: pytest.CaptureFixture[str], word: str, told: str
) -> None:
    assert main(["-m", word]) == 2
    assert capsys.readouterr().err.startswith(f"{word}: {told}")


def test_what_only_several_runs_have_wants_m(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra/launcher=joblib"]) == 2
    told = "hydra/sweeper and hydra/launcher: they are of several runs, which wants -m.\n"
    assert capsys.readouterr().err == told


def test_an_interval_without_m_is_several_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optim.lr=interval(1e-4,1e-2)"]) == 2
    assert capsys.readouterr().err.startswith("optim.lr=interval(1e-4,1e-2): several values make several runs")


def test_ranges_choices_and_tags_are_lists_of_values(train: Train, tmp_path: Path) -> None:
    words = ("save_every=range(1,3)", "optim.lr=tag(fast,choice(0.01,0.02))", "seed=sort(1)", "epochs=1")
    ended = train("-m", "name=x", *words)
    assert ended.code == 0, ended.err
    assert len(list((tmp_path / "outputs" / "multirun" / "x").glob("*/summary.json"))) == 4
