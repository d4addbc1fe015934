"""Counter-based randomness: every draw is a hash of (seed, epoch, sample, purpose), so nothing about it needs saving.

The hash is the generator SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"), read
at any place: the keys choose its seed, the sample is the place. It is computed on whole tensors. Torch's int64 wraps
around like an unsigned word; only the right shift has to be made logical.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from trainer.system.upload import upload

_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_TWO_POW_MINUS_24 = 2.0**-24


def _signed(word: int) -> int:
    """The 64-bit word as torch's signed int64 holds it."""
    word &= (1 << 64) - 1
    return word - (1 << 64) if word >> 63 else word


def _shift_right(words: Tensor, bits: int) -> Tensor:
    return (words >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mix(words: Tensor) -> Tensor:
    """The words themselves, each changed to its output."""
    words.bitwise_xor_(_shift_right(words, 30)).mul_(_signed(_MULTIPLIERS[0]))
    words.bitwise_xor_(_shift_right(words, 27)).mul_(_signed(_MULTIPLIERS[1]))
    return words.bitwise_xor_(_shift_right(words, 31))


def hash_words(counters: Tensor, *keys: int | str) -> Tensor:
    """One pseudorandom 64-bit word per counter: the outputs of the SplitMix64 that the keys seed, at these places.

    int64 in, int64 of the same shape out, on the same device.
    """
    return _mix((counters + 1).mul_(_signed(_GOLDEN)).add_(_signed(_word_of(keys))))


def seed_of(*keys: int | str) -> int:
    """A seed in [0, 2^63) that depends on every key, for generators that want one number."""
    return _word_of(keys) >> 1


def _word_of(keys: tuple[int | str, ...]) -> int:
    return int.from_bytes(blake2b(repr(keys).encode(), digest_size=8).digest(), "little")


def permutation(count: int, *keys: int | str) -> Tensor:
    """A shuffled arange(count) that is a function of the keys alone; int64 on the CPU."""
    return torch.argsort(hash_words(torch.arange(count), *keys), stable=True)


@dataclass(frozen=True)
class Draws:
    """The random numbers of one batch, one stream per sample.

    samples: (B,) int64, the samples' indices in their set. Two draws with the same purpose are the same draw, so each
    use has a purpose of its own. Results lie on the device of samples.
    """

    seed: int
    epoch: int
    samples: Tensor

    def uniform(self, purpose: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(B,) float32 in [low, high)."""
        words = _shift_right(hash_words(self.samples, self.seed, self.epoch, purpose), 40)
        return low + (high - low) * (words.float() * _TWO_POW_MINUS_24)  # 24 bits: what a float32 holds exactly

    def chance(self, purpose: str, probability: float) -> Tensor:
        """(B,) bool, true with the probability given."""
        return self.uniform(purpose) < probability

    def normal(self, purpose: str) -> Tensor:
        """(B,) float32, standard normal (Box-Muller)."""
        radius = (-2.0 * torch.log1p(-self.uniform(purpose + ".radius"))).sqrt()
        return radius * torch.cos(2.0 * math.pi * self.uniform(purpose + ".angle"))

    def integers(self, purpose: str, shape: Sequence[int], device: torch.device) -> Tensor:
        """(B, *shape) int16 on the device, all 65,536 values equally likely: for draws of every pixel.

        Four share a word, and a sample's words follow one another at places that no other sample has.
        """
        count = math.prod(shape)
        num_words = -(-count // 4)
        places = upload(self.samples * num_words, device)[:, None] + torch.arange(num_words, device=device)
        words = hash_words(places, self.seed, self.epoch, purpose)
        return words.view(torch.int16)[:, :count].reshape(len(words), *shape)
