"""The sound trainings in which faults are planted: other sets, models and optimizers in the half that is held out."""

from collections.abc import Sequence

from benchmarks.doctor.cases import Ground, Half

CNN = ("model=small_cnn", "model.widths=[16,32,64]", "model.depth=1")
GROUNDS = {
    ground.name: ground
    for ground in (
        Ground("shapes", "tuning", (*CNN, "optim=adamw", "aug=light"), 5e-3, "shapes"),
        Ground("colours", "tuning", ("model=mlp", "model.width=64", "optim=sgd", "aug=none"), 0.02, "colours"),
        Ground("colours by CNN", "tuning", (*CNN, "optim=adamw", "aug=light"), 5e-3, "colours"),
        Ground(
            "arrows",
            "tuning",
            (
                "model=plain_cnn",
                "model.depth=4",
                "model.width=16",
                "model.batch_norm=true",
                "optim=adam",
                "aug=upright",
            ),
            1e-2,
            "arrows",
        ),
        Ground(
            "arrows by LeNet",
            "tuning",
            ("model=lenet", "model.activation=relu", "data.size=32", "optim=adam", "aug=none"),
            2e-3,
            "arrows",
        ),
        Ground("glyphs", "tuning", (*CNN, "data.classes=5", "data.images=1200", "data.size=20", "optim=adamw"), 5e-3),
        Ground(
            "arrows from shapes",
            "tuning",
            (*CNN, "optim=adamw", "aug=upright", "finetune=head_first", "finetune.frozen_epochs=4"),
            3e-3,
            "arrows",
            weights_of="shapes",
        ),
        Ground(
            "Fashion-MNIST",
            "tuning",
            (*CNN, "data=fashion_mnist", "limit_train=1000", "limit_val=300", "optim=adamw", "aug=light"),
            5e-3,
            needs="FASHION_MNIST",
        ),
        Ground("textures", "held out", (*CNN, "optim=sgd", "aug=upright", "aug.rotate=0"), 0.1, "textures"),
        Ground(
            "hooks",
            "held out",
            ("model=plain_cnn", "model.depth=5", "model.width=16", "init=he_normal", "optim=adamw", "aug=none"),
            3e-3,
            "hooks",
        ),
        Ground(
            "flags",
            "held out",
            ("model=lenet", "model.activation=relu", "data.size=32", "optim=adam", "sched=warmup_cosine", "aug=none"),
            2e-3,
            "flags",
        ),
        Ground(
            "fruit",
            "held out",
            (*CNN, "model.activation=mish", "model.blur_pool=true", "optim=sgd", "sched=warmup_cosine", "aug=light"),
            0.05,
            "fruit",
        ),
        Ground(
            "letters",
            "held out",
            (*CNN, "data.classes=8", "data.images=1500", "data.size=20", "data.seed=5", "optim=muon"),
            0.02,
        ),
        Ground(
            "hooks from textures",
            "held out",
            (*CNN, "optim=adamw", "aug=upright", "finetune=head_first", "finetune.frozen_epochs=4"),
            3e-3,
            "hooks",
            weights_of="textures",
        ),
        Ground(
            "CIFAR-10",
            "held out",
            (*CNN, "data=folder", "data.size=32", "limit_train=1000", "limit_val=300", "optim=adamw", "aug=light"),
            5e-3,
            needs="CIFAR10_MINI",
        ),
    )
}


def of_half(half: Half, names: Sequence[str] = ()) -> list[Ground]:
    """Those of these names in it; all where none are named."""
    return [ground for ground in GROUNDS.values() if ground.half == half and (not names or ground.name in names)]
