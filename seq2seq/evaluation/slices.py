"""Named slices of an evaluation set: by length, rare words, numbers, names, negation, questions, source.

Why: an average hides regressions. A model may gain BLEU and translate no number correctly; a slice shows
it. The rules are independent of the language; its negations are data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from seq2seq.common.schema import Evaluate
from seq2seq.data import words
from seq2seq.data.corpus import Pair
from seq2seq.evaluation import scores

ALL, LENGTH, SOURCE = "all", "length ", "source "
CHARACTERS = " characters"  # suffix of the names of slices by length in characters
SENTENCE_END = re.compile(r"[.!?:…。！？]\W*$")
# A question mark with at most quotes or brackets after it; Greek's looks like a semicolon.
QUESTION = re.compile(r"([?？؟፧⁇⁈⁉‽\u037e]|[\u0370-\u03ff\u1f00-\u1fff]\W*;)\W*$")


class Slice(NamedTuple):
    """Scores of the sentences of a slice."""

    slice: str
    sentences: int
    bleu: float
    chrf: float


class WordCounts:
    """Counts of the words of some sentences in the training sources."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self.counts = Counter(dict.fromkeys((word for pair in pairs for word in words.parts(pair.source)), 0))

    def over(self, train: Iterable[Pair]) -> Iterator[Pair]:
        """Yield the training pairs unchanged, and count their words."""
        wanted = self.counts.__contains__
        for pair in train:
            self.counts.update(filter(wanted, words.parts(pair.source)))
            yield pair


def find(pairs: Sequence[Pair], counts: Mapping[str, int], how: Evaluate) -> dict[str, list[int]]:
    """The rows of each non-empty slice, in the order of reports."""
    phrases = [_spaced(negation) for negation in how.negations]
    rules: dict[str, Callable[[Pair], bool]] = {
        # Words with digits are numbers, which have their own slice.
        "rare words": lambda pair: any(counts[word] <= how.rare_words for word in _letters(pair.source)),
        "unknown words": lambda pair: any(counts[word] == 0 for word in _letters(pair.source)),
        "numbers": lambda pair: re.search(r"\d", pair.source) is not None,
        "capitalised": capitalised,
        "negation": lambda pair: any(phrase in _spaced(pair.source) for phrase in phrases),
        "questions": lambda pair: QUESTION.search(pair.source) is not None,
    }
    lengths = [words.length(pair.source) for pair in pairs]
    unit = CHARACTERS if words.unit(pair.source for pair in pairs) == words.CHARACTER else ""
    found = {}
    for least, most in scores.equal_bins(lengths, how.length_bins):
        name = f"{LENGTH}{least}-{most}" if least < most else f"{LENGTH}{least}"
        found[name + unit] = [row for row, length in enumerate(lengths) if least <= length <= most]
    found |= {name: [row for row, pair in enumerate(pairs) if rule(pair)] for name, rule in rules.items()}
    origins = sorted({pair.origin for pair in pairs if pair.origin is not None})
    if len(origins) > 1:
        for origin in origins:
            found[f"{SOURCE}{origin}"] = [row for row, pair in enumerate(pairs) if pair.origin == origin]
    return {name: rows for name, rows in found.items() if rows}


def score(
    found: Mapping[str, Sequence[int]],
    hypotheses: Sequence[str],
    references: Sequence[str],
    tokenizer: str | None = None,
) -> list[Slice]:
    """Scores of all sentences and of each slice."""
    return [
        Slice(name, len(rows), *(scores.score(metric, *chosen, tokenizer) for metric in ("bleu", "chrf")))
        for name, rows in {ALL: range(len(references)), **found}.items()
        for chosen in [([hypotheses[row] for row in rows], [references[row] for row in rows])]
    ]


def by_length(rows: Iterable[Slice]) -> list[scores.LengthBin]:
    """The slices by length, as bins."""
    return [
        scores.LengthBin(row.slice.removeprefix(LENGTH).removesuffix(CHARACTERS), *row[1:])
        for row in rows
        if row.slice.startswith(LENGTH)
    ]


def capitalised(pair: Pair) -> bool:
    """Each side whose script has capitals has one inside the sentence: mostly names.

    One side alone is not enough: German capitalises every noun.
    """
    cased = [text for text in pair[:2] if text.lower() != text.upper()]
    return bool(cased) and all(map(_capital_inside, cased))


def _capital_inside(text: str) -> bool:
    """Whether a word of at least two letters (not "I") inside a sentence has a capital."""
    begins = True
    for word in text.split():
        parts = words.spelt(word)
        if not begins and any(len(part) > 1 and part[0].isupper() for part in parts):
            return True
        begins = (begins and not parts) or SENTENCE_END.search(word) is not None
    return False


def _spaced(text: str) -> str:
    """The words with a space before and after each, to match whole words only."""
    return f" {' '.join(words.parts(text))} "


def _letters(text: str) -> list[str]:
    return [word for word in words.parts(text) if not any(map(str.isdigit, word))]
