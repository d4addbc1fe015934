"""The faults that are planted, one in a run."""

from benchmarks.doctor.cases import Fault

_PIXEL = "[0.00392,0.00392,0.00392]"
ALL = ("shapes", "colours", "arrows", "textures", "hooks", "flags", "fruit")
FAULTS = (
    Fault(
        "rate x100",
        ("rate_too_high", "diverged"),
        ("colours", "arrows", "glyphs", "textures", "hooks", "flags", "letters"),
        lambda ground: (f"optim.lr={100 * ground.rate:g}",),
    ),
    Fault(
        "rate /1000",
        ("rate_too_low",),
        ("shapes", "colours", "arrows", "textures", "hooks", "flags", "letters"),
        lambda ground: (f"optim.lr={ground.rate / 1000:g}",),
    ),
    Fault(
        "unscaled input",
        ("unscaled_input",),
        ("colours", "arrows by LeNet", "hooks", "flags"),
        lambda ground: ("data.mean=[0,0,0]", f"data.std={_PIXEL}"),
    ),
    Fault("shuffled labels", ("labels_unrelated",), ALL, planting="shuffled"),
    Fault("30 % label noise", ("wrong_labels",), ALL, lambda ground: ("epochs=20",), planting="noise"),
    Fault(
        "leak",
        (),
        ("shapes", "arrows", "textures", "hooks", "flags"),
        planting="leak",
        before=("leak", "leak_of_copies"),
    ),
    Fault(
        "zero init",
        ("zero_init",),
        ("shapes", "colours", "arrows", "textures", "hooks", "flags", "letters"),
        lambda ground: ("init=zeros",),
    ),
    Fault(
        "deep sigmoid net",
        ("sigmoid_in_depth",),
        ("shapes", "arrows", "glyphs", "textures", "hooks", "flags", "letters"),
        lambda ground: ("model=plain_cnn", "model.depth=10", "model.width=16", "model.activation=sigmoid"),
    ),
    Fault(
        "validation from another distribution",
        ("other_distribution",),
        ("shapes", "arrows", "colours by CNN", "textures", "hooks", "fruit"),
        planting="elsewhere",
    ),
    Fault(
        "grey instead of colour",
        ("colour_taken_away",),
        ("colours", "colours by CNN", "flags", "fruit"),
        lambda ground: ("data.grey=true",),
        before=("colours_lost",),
    ),
    Fault(
        "too small a model",
        ("model_too_small", "underfit"),
        ("shapes", "arrows", "hooks", "flags"),
        lambda ground: ("model=small_cnn", "model.widths=[4,8]", "model.depth=1", "epochs=25"),
    ),
    Fault(
        "too few pictures, no augmentation",
        ("overfit", "overfit_by_loss"),
        ("shapes", "arrows", "arrows by LeNet", "textures", "hooks", "fruit"),
        lambda ground: ("aug=none", "epochs=50"),
        planting="few",
    ),
    Fault(
        "batch norm at batch 2",
        ("tiny_batches",),
        ("shapes", "arrows", "textures", "letters", "fruit"),
        lambda ground: ("batch_size=2", "epochs=2"),
    ),
    Fault(
        "frozen everything",
        ("nothing_learns",),
        ("shapes", "colours", "arrows", "textures", "hooks", "flags", "letters"),
        lambda ground: ("plugins=[benchmarks.doctor.elsewhere]", "optim=adamw", "optim.name=elsewhere"),
    ),
    Fault(
        "mirrored classes",
        ("mirrored_classes",),
        ("arrows", "arrows by LeNet", "flags", "hooks"),
        lambda ground: ("aug=light", "epochs=20"),
        before=("mirror_changes_class",),
    ),
    Fault(
        "one class all but missing in training",
        ("class_missing", "class_never_predicted", "uneven_classes"),
        ALL,
        planting="missing",
    ),
    Fault(
        "trained weights, wrong statistics",
        ("weights_statistics",),
        ("arrows from shapes", "hooks from textures"),
        lambda ground: ("data.mean=[0,0,0]", "data.std=[0.05,0.05,0.05]"),
    ),
    Fault(
        "a warm-up that never ends",
        ("warmup_never_ends", "stopped_in_warmup"),
        ("shapes", "arrows", "glyphs", "textures", "hooks", "flags", "letters"),
        lambda ground: ("sched=warmup_cosine", "sched.warmup=0.99"),
    ),
)
