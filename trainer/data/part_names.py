"""Names that say which part of a set something is, as people write them: train_images, Trainset, val2017, test-v2."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "tr", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validating", "vld", "va"), "val"),
    **dict.fromkeys(("dev", "devel", "development"), "val"),
    **dict.fromkeys(("test", "tests", "testing", "tst", "te", "ts"), "test"),
    **dict.fromkeys(("holdout", "heldout"), "holdout"),
    **dict.fromkeys(("eval", "evaluation", "evaluate"), "eval"),
}
_UNSETTLED = ("holdout", "eval")
"""Words that some use of what selects and some of what is measured last: see parts_of."""
_SAID_OF_ALL = (
    "image images img imgs picture pictures pic pics photo photos file files sample samples data dataset datasets set "
    "sets folder folders dir jpg jpeg jpegs png pngs mask masks label labels annotation annotations unlabeled "
    "unlabelled submission submissions"
)
_SAID_BESIDE = (
    "split part partition subset crop crops cropped resized small big large full mini tiny all sub new old final clean "
    "raw original augmented labeled labelled public private stage phase version ver px rgb grey gray hq lq my the of "
    "for thumbs thumbnails demo example examples extra misc backup tmp temp unused"
)
_THINGS = frozenset(_SAID_OF_ALL.split())
"""What any set may hold, of whatever classes."""
_FILLERS = _THINGS | frozenset(_SAID_BESIDE.split())
"""What may stand beside the word of a part."""


@dataclass(frozen=True)
class _Word:
    """What a name says: the part, whether it says nothing else, and whether it is too short to say it alone."""

    part: str
    plain: bool
    short: bool


def parts_of(names: Iterable[str]) -> dict[str, str]:
    """name -> 'train', 'val' or 'test', of the names that say a part.

    tr, te and the like are parts only where every name is one: they may be countries. eval and holdout are the test
    part, unless there is another one and no validation part.
    """
    listed = list(names)
    words = {name: word for name in listed if (word := _read(name))}
    if len(words) < len(listed):
        words = {name: word for name, word in words.items() if not word.short}
    parts: dict[str, str] = {}
    said = {word.part for word in words.values()}
    for unsettled in (word for word in _UNSETTLED if word in said):
        parts[unsettled] = "val" if "test" in said and "val" not in said else "test"
        said.add(parts[unsettled])
    return {name: parts.get(word.part, word.part) for name, word in words.items()}


def most_plain(names: Iterable[str]) -> list[str]:
    """Of names that say the same part, those that say it most plainly: test before test_images, val before eval."""
    ranks: Mapping[str, int] = {name: _rank(name) for name in names}
    return [name for name, rank in ranks.items() if rank == max(ranks.values())]


def without_part(name: str) -> tuple[str, str] | None:
    """(what else the name says, the part) of a name that ends or begins with the word of a part: cat_train, val-dog."""
    for pattern in (r"(?P<part>[^\W_]+)[\W_]+(?P<rest>.+)", r"(?P<rest>.+)[\W_]+(?P<part>[^\W_]+)"):
        found = re.fullmatch(pattern, name)
        if found and (word := _read(found["part"])) and not word.short:
            return found["rest"], word.part
    return None


def says_nothing(name: str) -> bool:
    """Whether the name is of what any set may hold, and of no class: images, data, photos_jpg."""
    return says_little(name) and any(token in _THINGS for token in _tokens(name))


def says_little(name: str) -> bool:
    """Whether the name may stand beside a part, and is hardly one of a class: as says_nothing, and raw, demo, new."""
    tokens = _tokens(name)
    return bool(tokens) and all(token in _FILLERS for token in tokens)


def _rank(name: str) -> int:
    word = _read(name)
    return 0 if word is None or word.part in _UNSETTLED else 1 + word.plain


def _read(name: str) -> _Word | None:
    """What the name says of a part; None where it says nothing, more than that, or two parts."""
    tokens = _tokens(name)
    found = [word for token in tokens for word in _words_in(token)]
    rest = [token for token in tokens if not _words_in(token)]
    said = {_WORDS[word] for word in found}
    if said == {"train", "val"}:  # trainval, as VOC names it: what is left when the test part is taken away
        said = {"train"}
    elif len(said) == 2 and "test" in said and said != {"train", "test"}:  # devtest, test_eval
        said = {"test"}
    if len(said) != 1 or any(len(token) > 1 and token not in _FILLERS for token in rest):
        return None
    plain = len(found) == 1 and name.lower() == found[0]
    return _Word(said.pop(), plain, short=all(len(word) == 2 for word in found))


def _tokens(name: str) -> list[str]:
    """The words of a name, in lower case, without numbers and marks: 'PublicTest-v2' gives public, test, v."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    joined = re.sub(r"(?i)\b(hold|held)[\W_]*out\b", r"\1out", spaced.replace("_", " "))
    return re.findall(r"[^\W\d_]+", joined.lower())


def _words_in(token: str) -> list[str]:
    """The words of parts in a token, where it is made of these, and of fillers, alone: trainset, valtest."""
    if token in _WORDS:
        return [token]
    if token in _FILLERS:
        return []
    for cut in range(2, len(token) - 1):
        first, second = token[:cut], token[cut:]
        known = [word for word in (first, second) if word in _WORDS and len(word) > 2]
        if known and all(word in known or word in _FILLERS for word in (first, second)):
            return known
    return []
