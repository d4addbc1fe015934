"""The benchmarks run; how fast is for `make bench` to say."""

import pytest

from benchmarks import engine
from benchmarks.rates import in_turn


def test_the_engine_is_measured_beside_the_bare_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "STEPS", 1)
    monkeypatch.setattr(engine, "BATCH", 4)
    ratio = engine.engine_over_bare("small_cnn", 8)
    assert 0 < ratio.least <= ratio.median <= ratio.greatest
    assert ratio.ours > 0 and ratio.theirs > 0


def test_contestants_run_in_turn_after_a_warm_up_each() -> None:
    calls: list[str] = []

    def contestant(name: str) -> int:
        calls.append(name)
        return 1

    in_turn(lambda: contestant("a"), lambda: contestant("b"), rounds=4)
    assert "".join(calls) == "ab" + "ba" + "ab" + "ba" + "ab"
