"""metrics.jsonl says what JSON can say."""

import json
from pathlib import Path

from trainer.records.metrics import MetricsFile


def test_a_number_that_json_cannot_say_is_null_wherever_it_stands(tmp_path: Path) -> None:
    with MetricsFile(tmp_path / "metrics.jsonl") as metrics:
        metrics.append("epoch", 1, 1, loss=float("nan"), vitals={"layers": [{"mean": float("inf"), "std": 0.5}]})
    line = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=lambda said: f"not JSON: {said}")
    assert line["loss"] is None and line["vitals"] == {"layers": [{"mean": None, "std": 0.5}]}
