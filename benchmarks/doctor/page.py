"""docs/doctor.md's parts that are made: what the rules are, and how good they are."""

import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.doctor.verdicts import Verdict, in_lines, in_table
from benchmarks.tables import table
from trainer.doctor.finding import Finding
from trainer.doctor.rules import RULES

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
_HEADS = ("rule", "practice", "what it sees", "its figures, in a run of the set", "the words that it gives there")


def filled(page: str, parts: Mapping[str, str]) -> str:
    """The page with these texts between their markers, <!-- NAME: made by make doctor --> and <!-- end -->."""
    for name, text in parts.items():
        slot = rf"(<!-- {name}: made by make doctor -->\n).*?(<!-- end -->)"
        page = re.sub(slot, lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page, flags=re.DOTALL)
    return page


def rules(verdicts: Iterable[Verdict]) -> str:
    """Each rule with the practice it comes from, and what it said of the first run that it spoke of, in Markdown."""
    examples: dict[str, Finding] = {}
    for verdict in verdicts:
        for finding in verdict.findings:
            examples.setdefault(finding.rule, finding)
    rows = []
    for rule in RULES:
        name = rule.__name__
        practice, _, seen = (inspect.getdoc(rule) or "").partition(": ")
        example = examples.get(name)
        words = f"`{example.words}`" if example and example.words else ""
        rows.append([f"`{name}`", practice, seen, example.evidence.replace("|", "/") if example else "", words])
    return table(_HEADS, rows)


def parts_of(verdicts: list[Verdict]) -> dict[str, str]:
    """What stands between the page's markers; verdicts: of the half that is held out."""
    return {"rules": rules(verdicts), "table": in_table(verdicts), "misses": "\n".join(in_lines(verdicts)) or "None."}
