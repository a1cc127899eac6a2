"""Text made up from a seed, an inverted index over text files, and a summary by word frequency."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_SUBJECTS = (
    "the invoice", "a customer", "the search index", "our gateway", "the nightly import",
    "a webhook", "the audit log", "this account", "the retention policy", "a chat session",
)  # fmt: skip
_VERBS = (
    "was moved to", "is waiting for", "has been reported by", "no longer matches",
    "depends on", "was restored from", "keeps referring to", "arrived before",
)  # fmt: skip
_OBJECTS = (
    "the billing team", "an older backup", "the second region", "a missing permission",
    "the weekly report", "an expired certificate", "the support queue", "a renamed field",
)  # fmt: skip
_WORD = re.compile(r"[a-z]{3,}")
_COMMON = frozenset(("the", "this", "that", "and", "was", "has", "been", "for", "our", "with", "from"))


def sentences(seed: int, count: int) -> list[str]:
    """`count` sentences; the same seed gives the same ones."""
    rng = random.Random(seed)
    return [_sentence(rng) for _ in range(count)]


def words(text: str) -> list[str]:
    """Lower-case words of three letters and more, without the commonest ones."""
    return [word for word in _WORD.findall(text.lower()) if word not in _COMMON]


def summarise(messages: Sequence[str], length: int = 3) -> list[str]:
    """The `length` messages whose words are the most frequent overall, in their own order."""
    weight = Counter(word for message in messages for word in words(message))
    scores = [_score(message, weight) for message in messages]
    best = sorted(range(len(messages)), key=lambda n: (-scores[n], n))[:length]
    return [messages[n] for n in sorted(best)]


def index_files(paths: Iterable[Path], root: Path) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """Read the files one by one; after each, yield (files read, word -> names of files so far).

    The dictionary is the one being filled, not a copy: keep the last, or take the size of any.
    """
    index: defaultdict[str, list[str]] = defaultdict(list)
    for count, path in enumerate(paths, start=1):
        name = path.relative_to(root).as_posix()
        for word in sorted(set(words(path.read_text("utf-8")))):
            index[word].append(name)
        yield count, index


def encode_index(index: dict[str, list[str]]) -> bytes:
    """The index as JSON with sorted words, so that equal files give equal bytes."""
    return json.dumps(index, sort_keys=True, indent=0).encode()


def _sentence(rng: random.Random) -> str:
    number = rng.randrange(1000, 9999)
    parts = (rng.choice(_SUBJECTS), rng.choice(_VERBS), rng.choice(_OBJECTS))
    return f"{' '.join(parts).capitalize()} (case {number})."


def _score(message: str, weight: Counter[str]) -> float:
    found = words(message)
    return sum(weight[word] for word in found) / len(found) if found else 0.0
