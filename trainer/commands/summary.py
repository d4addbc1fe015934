"""summary: the layers of a model on the data it would train on: shapes, parameters, multiply-adds."""

from trainer.build.training import build
from trainer.config import Config
from trainer.model.costs import layers_of
from trainer.preset.settle import settle
from trainer.report.console import Screen
from trainer.report.layers import print_layers


def run(config: Config) -> int:
    """Prints the table. Nothing is trained, and nothing written."""
    screen = Screen()
    config = settle(config, screen.counting, trains=False).config
    job = build(config, screen.counting, trains=False)
    images = next(iter(job.val_batches)).images[:2].float()  # what is counted is counted per image
    size = " x ".join(map(str, images.shape[1:]))
    print_layers(
        layers_of(job.state.model, images),
        f"{config.parts['model'].name} on {config.parts['data'].name}: {size}, {len(job.about['classes'])} classes",
        job.batches.batch_size,
    )
    for note in getattr(job.state.model, "notes", ()):
        screen.say(note)
    return 0
