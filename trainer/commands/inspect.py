"""inspect: what each layer gives out before training, for one or several initialisations side by side."""

from collections.abc import Mapping
from pathlib import Path

from trainer.build.model import build_model
from trainer.build.training import build
from trainer.config import Config
from trainer.errors import ConfigError
from trainer.model.probe import Values, probe
from trainer.preset.settle import settle
from trainer.report.console import Screen
from trainer.report.inspection import draw_probes, hidden, print_probes
from trainer.report.pictures import picture_in


def run_each(configs: Mapping[str, Config]) -> int:
    """Prints the tables and writes the picture to output/inspect. configs: one for each scheme, by its name.

    The data are read once. Every scheme starts from the same seed, and is shown the first validation images, which an
    initialisation that looks at data (lsuv looks at training images) has not seen.
    """
    screen = Screen()
    configs = {name: settle(config, screen.counting, trains=False).config for name, config in configs.items()}
    first = next(iter(configs.values()))
    job = build(first, screen.counting)
    images = next(iter(job.val_batches)).images.float()  # no autocast here
    seen = next(iter(job.batches.epoch(0))).images.float()
    channels, classes = images.shape[1], len(job.about["classes"])
    probes: dict[str, list[Values]] = {}
    for scheme, config in configs.items():
        probes[scheme] = probe(build_model(config, classes, channels, seen), images)
    if len({len(layers) for layers in probes.values()}) > 1:
        raise ConfigError("inspect: these models differ in their layers, so they do not fit into one table.")
    print_probes(probes)
    model, data = first.parts["model"].name, first.parts["data"].name
    picture = picture_in(Path(first.settings.output) / "inspect", first.settings.name)
    activations = " and ".join(dict.fromkeys(values.activation for each in probes.values() for values in hidden(each)))
    draw_probes(probes, picture, f"{model} on {len(images)} images of {data}: values behind each {activations} layer")
    screen.say(f"picture: {picture}")
    return 0
