"""Counter-based randomness: repeatable, independent of neighbours, and as random as it should be."""

import torch

from trainer import rng
from trainer.rng import Draws, hash_words, permutation, seed_of


def splitmix64(seed: int, count: int) -> list[int]:
    """The generator as published, in Python's own integers: a running sum, and a finaliser."""
    mask, words = (1 << 64) - 1, []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        word = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        words.append(word ^ (word >> 31))
    return words


def test_the_words_of_a_key_are_the_outputs_of_splitmix64() -> None:
    assert splitmix64(0, 2) == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]  # the generator's published first outputs
    words = hash_words(torch.arange(100), 7, "flip")
    seed = rng._word_of((7, "flip"))
    assert [int(word) & ((1 << 64) - 1) for word in words] == splitmix64(seed, 100)


def test_a_draw_depends_on_its_sample_alone_and_not_on_its_neighbours() -> None:
    together = Draws(1, 2, torch.tensor([5, 9, 3])).uniform("flip")
    assert torch.equal(together[1:2], Draws(1, 2, torch.tensor([9])).uniform("flip"))


def test_seed_epoch_sample_and_purpose_each_change_a_draw() -> None:
    samples = torch.arange(1000)
    base = Draws(1, 2, samples).uniform("flip")
    others = [
        Draws(2, 2, samples).uniform("flip"),
        Draws(1, 3, samples).uniform("flip"),
        Draws(1, 2, samples + 1).uniform("flip"),
        Draws(1, 2, samples).uniform("zoom"),
    ]
    for other in others:
        assert abs(float(torch.corrcoef(torch.stack([base, other]))[0, 1])) < 0.12  # 3.8 standard errors
        assert (base == other).sum() == 0


def test_uniform_draws_fill_their_range_evenly() -> None:
    draws = Draws(0, 0, torch.arange(100_000)).uniform("x", 2.0, 4.0)
    assert 2.0 <= draws.min() < 2.001 and 3.999 < draws.max() < 4.0
    counts = torch.histc(draws, bins=50, min=2, max=4)
    chi_squared = float(((counts - 2000) ** 2 / 2000).sum())
    assert chi_squared < 100  # 49 degrees of freedom: mean 49, standard deviation 10


def test_normal_draws_have_the_moments_of_a_normal() -> None:
    draws = Draws(0, 0, torch.arange(100_000)).normal("x").double()
    moments = [float((draws**power).mean()) for power in (1, 2, 3, 4)]
    assert all(abs(found - right) < 0.1 for found, right in zip(moments, (0, 1, 0, 3), strict=True))


def test_chance_is_as_likely_as_it_says() -> None:
    share = Draws(0, 0, torch.arange(100_000)).chance("x", 0.3).float().mean()
    assert abs(float(share) - 0.3) < 0.006


def test_a_permutation_holds_every_number_once_and_follows_its_keys() -> None:
    first, again, other = permutation(1000, 1, 0), permutation(1000, 1, 0), permutation(1000, 1, 1)
    assert torch.equal(first.sort().values, torch.arange(1000))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert (first == torch.arange(1000)).sum() < 10


def test_seeds_differ_by_every_key() -> None:
    seeds = {seed_of(seed, step, purpose) for seed in range(20) for step in range(20) for purpose in ("a", "b")}
    assert len(seeds) == 800 and min(seeds) >= 0
