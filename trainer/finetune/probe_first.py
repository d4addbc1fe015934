"""The head fitted at once to the features of the body, then everything."""

from typing import Literal

from trainer.finetune.freezing import require_body
from trainer.finetune.probing import Probing, seen
from trainer.registry import FINETUNES
from trainer.schema import Whole


@FINETUNES.register
def probe_first(
    num_stages: int, epochs: int, *, views: Whole = 0, norm: Literal["frozen", "running"] = "frozen"
) -> Probing:
    """The new head is fitted at once to what the body makes of the images, as probe does; then everything learns.

    A head that fits already sends no large gradients into a good body (Kumar et al. 2022, "Fine-tuning can distort
    pretrained features": linear probing, then fine-tuning). views: of each image, augmented, besides the image as it
    is. norm: batch norm goes on with its stored statistics, to which the head was fitted, or with the batch's.
    """
    require_body("probe_first", num_stages)
    note = f"finetune: the last layer is fitted at once to {seen(views)}, then everything learns"
    return Probing(views, False, (note,), norm)
