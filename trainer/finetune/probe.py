"""The head alone, fitted at once to the features of the frozen body."""

from trainer.finetune.freezing import require_body
from trainer.finetune.probing import Probing, seen
from trainer.registry import FINETUNES
from trainer.schema import Whole


@FINETUNES.register
def probe(num_stages: int, epochs: int, *, views: Whole = 0) -> Probing:
    """The head is fitted to what the frozen body makes of the images, in seconds: for few images and trained weights.

    Multinomial logistic regression where the loss is cross-entropy (a linear probe: Alain and Bengio 2016), by L-BFGS,
    its L2 chosen on a fifth of the training images. views: of each image, augmented, besides the image as it is.
    """
    require_body("probe", num_stages)
    idle = f"epochs, early_stop, optim, sched, ema{' and' if views else ','} accumulate{'' if views else ' and aug'}"
    note = f"finetune: the last layer is fitted at once to {seen(views)}, on a frozen body; {idle} do not act then"
    return Probing(views, True, (note,))
