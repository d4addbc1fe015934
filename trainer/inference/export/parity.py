"""Whether an exported file answers as the run does: both are asked about the same real pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.errors import TrainerError
from trainer.feed.preprocessing import Picture
from trainer.inference.answering import Answering, Probabilities
from trainer.inference.classifier import BATCH, Classifier
from trainer.inference.export.pictures import Proof

LEAST_EQUAL = {"none": 0.995, "int8": 0.97}
"""Share of equal answers, or of several labels of equal ones, below which a file is no copy of the run, by how it is
quantised."""

Answer = Callable[[NDArray[Any]], Probabilities]
"""The exported file: images as its input wants them -> (B, classes)."""


@dataclass(frozen=True)
class Difference:
    """How two lists of probabilities, (N, classes), differ: the most of any, and the share of equal answers.

    labels: the share of equal ones, where a picture may have several: pictures that are equal in all of them get fewer
    the more labels there are.
    """

    most: float
    equal: float
    labels: float | None = None

    @classmethod
    def of(cls, answering: Answering, ours: Probabilities, theirs: Probabilities) -> "Difference":
        apart = np.abs(ours - theirs).max() if np.isfinite(theirs).all() else np.inf
        equal = float(answering.equal(ours, theirs).mean())
        return cls(float(apart), equal, answering.equal_labels(ours, theirs))


@dataclass(frozen=True)
class Parity:
    """How an export answers beside torch, on how many pictures."""

    images: int
    difference: Difference
    from_files: Difference | None
    """Beside torch's answers for the files themselves, which decodes large JPEGs at a part of their size."""
    score: float | None
    torch_score: float | None
    """Those of the task, the share of right answers say; None where no picture has a label."""
    answering: Answering

    def plain(self) -> dict[str, Any]:
        """As the report beside the file holds it."""
        figures = {
            "images": self.images,
            "max_difference": self.difference.most,
            "equal_answers": self.difference.equal,
        }
        if self.difference.labels is not None:
            figures["equal_labels"] = self.difference.labels
        if self.score is not None and self.torch_score is not None:
            name, lost = self.answering.task.score, self.torch_score - self.score
            figures |= {name: self.score, f"torch_{name}": self.torch_score, f"{name}_lost": lost}
        if self.from_files is not None:
            figures |= {
                "max_difference_from_files": self.from_files.most,
                "equal_answers_from_files": self.from_files.equal,
            }
        return figures

    def sentence(self) -> str:
        """For a person: what was compared, and how it came out."""
        same = self._same(self.difference)
        line = f"Same answers as torch on {same} pictures (probabilities within {self.difference.most:.2g})."
        return line + self._scores() + self._files()

    def _scores(self) -> str:
        if self.score is None or self.torch_score is None:
            return ""
        return f" {self.answering.score_in_words}: {self.score:.2%} (torch: {self.torch_score:.2%})."

    def _files(self) -> str:
        """What is otherwise where torch reads the files itself; nothing where nothing is."""
        found = self.from_files
        if found is None or found == self.difference:
            return ""
        return (
            f" From the files themselves, whose JPEGs predict decodes at a reduced size: on {self._same(found)} "
            f"(within {found.most:.2g})."
        )

    def _same(self, difference: Difference) -> str:
        return f"{round(difference.equal * self.images):,} of {self.images:,}"

    def check(self, quantize: str) -> None:
        """Raises TrainerError if the answers are not those of the run."""
        least, equal, what = LEAST_EQUAL[quantize], self.difference.equal, f"{self.images:,} answers"
        if self.difference.labels is not None:
            equal, what = self.difference.labels, f"the labels of {what}"
        if not (equal >= least and np.isfinite(self.difference.most)):
            advice = "Leave quantize out." if quantize != "none" else "Tell the maintainers which model it is."
            raise TrainerError(
                f"export: only {100 * equal:.4g}% of {what} are torch's, and {100 * least:g}% are "
                f"asked for: nothing is written.{self._scores()} {advice}"
            )


def prove(classifier: Classifier, answer: Answer, proof: Proof, *, inside: bool) -> Parity:
    """Asks both about every picture. inside: the file takes pictures as they are, one by one, not as the model sees."""
    answering = classifier.answering
    transform = classifier.preprocessing.transform(device=torch.device("cpu"))

    def ours(pictures: Sequence[Picture]) -> tuple[torch.Tensor, Probabilities]:
        prepared = torch.stack([classifier.preprocessing.prepared(picture) for picture in pictures])
        return prepared, classifier.probabilities(prepared)

    rows: dict[str, list[Probabilities]] = {"ours": [], "theirs": [], "files": []}
    for start in range(0, len(proof), BATCH):
        numbers = range(start, min(start + BATCH, len(proof)))
        pictures = [proof.decoded(number) for number in numbers]
        prepared, probabilities = ours(pictures)
        rows["ours"].append(probabilities)
        if inside:
            rows["theirs"] += [answer(picture[None]) for picture in pictures]
        else:
            rows["theirs"].append(answer(transform(prepared).contiguous().numpy()))
        if proof.files:
            rows["files"].append(ours([proof.files[number] for number in numbers])[1])
    whole = {name: np.concatenate(each) for name, each in rows.items() if each}
    return Parity(
        len(proof),
        Difference.of(answering, whole["ours"], whole["theirs"]),
        Difference.of(answering, whole["files"], whole["theirs"]) if "files" in whole else None,
        answering.score_of(whole["theirs"], proof.labels),
        answering.score_of(whole["ours"], proof.labels),
        answering,
    )
