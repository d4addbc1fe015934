"""The rules: each a pure function from a history to a finding, or to None. One rule, one function, one name."""

from collections.abc import Callable

from trainer.doctor.finding import Finding
from trainer.doctor.history import History
from trainer.doctor.rules import fit, labels, layers, pictures, rates, stuck, transfer

Rule = Callable[[History], Finding | None]

RULES: tuple[Rule, ...] = (
    stuck.diverged,
    stuck.first_loss_far_off,
    stuck.zero_init,
    stuck.nothing_learns,
    stuck.stuck_at_chance,
    stuck.collapsed,
    rates.rate_too_high,
    rates.rate_too_low,
    rates.warmup_never_ends,
    rates.stopped_in_warmup,
    rates.both_flat,
    layers.sigmoid_in_depth,
    layers.dead_units,
    layers.activations_vanish,
    layers.activations_explode,
    layers.tiny_batches,
    pictures.unscaled_input,
    pictures.colour_taken_away,
    pictures.mirrored_classes,
    pictures.data_bound,
    labels.labels_unrelated,
    labels.wrong_labels,
    labels.class_missing,
    labels.class_never_predicted,
    labels.uneven_classes,
    transfer.weights_destroyed,
    transfer.weights_statistics,
    fit.other_distribution,
    fit.overfit,
    fit.overfit_by_loss,
    fit.model_too_small,
    fit.underfit,
    fit.training_flat,
    fit.both_rise,
    fit.flattering_validation,
    fit.small_validation,
    fit.easier_validation,
    fit.still_learning,
)
