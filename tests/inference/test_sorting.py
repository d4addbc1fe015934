"""Folders for answers: safe names, and no two classes in one."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.inference.sorting import folder_names

UNSAFE = st.text(alphabet="aAé./\\ -:\n\0\x1bcon~…", max_size=8)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(UNSAFE | st.sampled_from(["unsure", "UNREADABLE", "..", "", "nul", "x" * 300]), unique=True, max_size=8)
)
def test_every_class_has_a_folder_of_its_own_right_below(classes: list[str]) -> None:
    names = folder_names(classes, "unsure")
    folders = list(names.values())
    assert {*names} == {*classes} and len({*map(str.casefold, folders)}) == len(classes)
    for folder in folders:
        assert folder not in ("", ".", "..") and "/" not in folder and folder.isprintable()
        assert Path("x", folder).name == folder and len(folder.encode()) < 200
        assert folder.casefold() not in ("unsure", "unreadable", "nul", "con")


def test_a_safe_name_stays_as_it_is_whoever_comes_before_it() -> None:
    names = folder_names(["a/b", "a_b", "Cat", "cat"], "unsure")
    assert names == {"a/b": "a_b-2", "a_b": "a_b", "Cat": "Cat", "cat": "cat-2"}
