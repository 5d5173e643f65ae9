"""The filters of `clean`: named predicates of one pair.

Why: each filter is a small function whose name appears in reports, samples and error messages. Filters
depend on one tidied pair, and on no other.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from seq2seq.common.errors import UserError
from seq2seq.common.schema import Clean
from seq2seq.data import opus, quality, screening, tidying
from seq2seq.data.corpus import Pair, digests
from seq2seq.data.direction import Direction
from seq2seq.data.words import WRITTEN_IN, script

LEAST_SPREAD = 1.0  # of lengths; 1.15 in Multi30k de-en and Tatoeba en-ru, less in a corpus of few phrases
NORMAL = 1.4826  # the standard deviation of a normal distribution by its median absolute deviation


def empty(source: str, target: str, params: Clean) -> bool:
    """A side has no visible character."""
    return not source or not target


def too_long(source: str, target: str, params: Clean) -> bool:
    """A side has more than `max_characters`."""
    return max(len(source), len(target)) > params.max_characters


def length_ratio(source: str, target: str, params: Clean) -> bool:
    """The target is more than `max_length_ratio` times longer, or shorter, than is typical for its source.

    Lengths are in characters. Chinese texts have about a third of the characters of English ones, so that
    one limit for all pairs of languages would drop ordinary translations.
    """
    assert params.typical_length_ratio is not None  # `clean` sets its estimate
    shorter, longer = sorted((len(source) * params.typical_length_ratio, len(target)))
    return longer > params.max_length_ratio * shorter


def deviation(source: int, target: int, ratio: float) -> float:
    """How far the lengths of two sides are from their typical ratio (Gale and Church 1993).

    The difference of lengths is proportional to the root of the length; divided by that root, the values of
    good pairs have one normal distribution, whatever their length.
    """
    return float((target - source * ratio) / ((source * ratio + target) / 2) ** 0.5)


def garbage(source: str, target: str, params: Clean) -> bool:
    """The share of letters in a side's visible characters is below `min_letters`."""
    return quality.few_letters(source, params.min_letters) or quality.few_letters(target, params.min_letters)


def source_script(source: str, target: str, params: Clean) -> bool:
    """The share of `source_script` in the source's letters is below `min_script`."""
    return quality.other_script(source, params.source_script, params.min_script)


def target_script(source: str, target: str, params: Clean) -> bool:
    """The share of `target_script` in the target's letters is below `min_script`."""
    return quality.other_script(target, params.target_script, params.min_script)


def identical(source: str, target: str, params: Clean) -> bool:
    """Both sides are equal except for case: not translated."""
    if source[:1].casefold()[:1] != target[:1].casefold()[:1]:
        return False  # fast, and true of most pairs
    return source.casefold() == target.casefold()


def markup(source: str, target: str, params: Clean) -> bool:
    """A side has tags or entities of HTML or XML."""
    return quality.has_markup(source) or quality.has_markup(target)


def mojibake(source: str, target: str, params: Clean) -> bool:
    """A side was decoded in a wrong encoding, and is not repaired."""
    return quality.is_mojibake(source) or quality.is_mojibake(target)


def numbers(source: str, target: str, params: Clean) -> bool:
    """The sides have different numbers."""
    return quality.numbers(source) != quality.numbers(target)


def addresses(source: str, target: str, params: Clean) -> bool:
    """The sides have different URLs or e-mail addresses."""
    return quality.addresses(source) != quality.addresses(target)


def repetition(source: str, target: str, params: Clean) -> bool:
    """A phrase follows itself more than `max_repetition` times on one side only."""
    most = params.max_repetition
    assert most is not None  # else the filter is off
    return quality.repeats(source, most) != quality.repeats(target, most)


def sentence_end(source: str, target: str, params: Clean) -> bool:
    """One side ends with the mark of a sentence's end, the other does not."""
    return quality.ends_sentence(source) != quality.ends_sentence(target)


def case(source: str, target: str, params: Clean) -> bool:
    """One side is all in capitals, the other is not; scripts without case are not compared."""
    sides = quality.in_capitals(source), quality.in_capitals(target)
    return None not in sides and sides[0] != sides[1]


Filter = Callable[[str, str, Clean], bool]
FILTERS: tuple[Filter, ...] = (
    empty,
    too_long,
    length_ratio,
    garbage,
    source_script,
    target_script,
    identical,
    markup,
    mojibake,
    numbers,
    addresses,
    repetition,
    sentence_end,
    case,
)
SCREENED = (empty, too_long, length_ratio, garbage, identical)  # called for suspects of `screening` alone
DEVIATION = "length_deviation"
LANGUAGES = ("source_language", "target_language")
# The filters after FILTERS also depend on the corpus.
NAMES = (*(one.__name__ for one in FILTERS), DEVIATION, *LANGUAGES, opus.REASON)
REMEDIES = {
    "empty": "are the right columns named in ingest.source_column and ingest.target_column?",
    "too_long": "raise clean.max_characters",
    "length_ratio": "are the lines aligned? if so, raise clean.max_length_ratio, or name the usual ratio of "
    "lengths in clean.typical_length_ratio",
    "garbage": "are the right columns named in ingest.source_column and ingest.target_column? if so, lower "
    "clean.min_letters",
    "source_script": "are the columns swapped? if not, name another clean.source_script, or null",
    "target_script": "are the columns swapped? if not, name another clean.target_script, or null",
    "identical": "name two different columns in ingest, or set clean.drop_identical: false",
    "markup": "remove tags and entities from the corpus, or set clean.markup: repair or keep",
    "mojibake": "write the corpus again in UTF-8 from its original, or set clean.mojibake: repair or keep",
    "numbers": "are the lines aligned? if so, set clean.same_numbers: false",
    "addresses": "are the lines aligned? if so, set clean.same_addresses: false",
    "repetition": "raise clean.max_repetition, or set it to null",
    "sentence_end": "set clean.same_sentence_end: false",
    "case": "set clean.same_case: false",
    "length_deviation": "are the lines aligned? if so, raise clean.max_length_deviation, or set it to null",
    opus.REASON: f"change the options of the filters in {opus.KEY}, or remove one",
    "source_language": "is ingest.source_language right? if so, raise clean.other_language or set null",
    "target_language": "is ingest.target_language right? if so, raise clean.other_language or set null",
}


class Filters:
    """The filters of a corpus: settings, the languages of its sides, and the spread of their lengths."""

    def __init__(
        self,
        params: Clean,
        direction: Direction = Direction(),  # noqa: B008
        spread: float = 0.0,
    ) -> None:
        self.params = params
        self._active = tuple(one for one in FILTERS if one.__name__ not in _off(params))
        self._others = tuple(one for one in self._active if one not in SCREENED)
        self._most = (params.max_length_deviation or 0.0) * spread or math.inf
        self._opus = opus.OpusFilters(params.opusfilter)
        self._languages: list[tuple[str, int, frozenset[str]]] = []
        if params.other_language is not None:
            for place, (name, side) in enumerate(zip(LANGUAGES, direction, strict=True)):
                if (wanted := quality.accepted(side)) is not None:
                    self._languages.append((name, place, wanted))

    @classmethod
    def measured(cls, params: Clean, direction: Direction, pairs: Iterable[Pair]) -> Filters:
        """The filters of a corpus by its own lengths: `pairs` are all of it, or a sample.

        A typical ratio that is null is the median of the pairs; the spread is in units of `deviation`. Both
        are robust to wrong pairs, and measured only where the settings need them.
        """
        ratio, spread = params.typical_length_ratio, 0.0
        if ratio is not None and params.max_length_deviation is None:
            return cls(params, direction)
        sides = ([tidying.tidy(text, params.unicode_form) for text in pair[:2]] for pair in pairs)
        lengths = [(len(source), len(target)) for source, target in sides if source and target]
        if ratio is None:
            found = statistics.median(target / source for source, target in lengths) if lengths else 1.0
            ratio = max(round(found, 3), 0.001)
        if params.max_length_deviation is not None:
            distances = [abs(deviation(*pair, ratio)) for pair in lengths]
            spread = max(NORMAL * statistics.median(distances or [0.0]), LEAST_SPREAD)
        return cls(params.model_copy(update={"typical_length_ratio": ratio}), direction, spread)

    def tidy(self, text: str) -> str:
        """A text as the settings want it."""
        return tidying.tidied(text, self.params)

    def reason(self, source: str, target: str) -> str | None:
        """The name of the first filter that drops a tidied pair, or None."""
        return self.reasons([(source, target)])[0]

    def reasons(self, pairs: Sequence[tuple[str, str]]) -> list[str | None]:
        """For each tidied pair the name of the first filter that drops it; languages are faster together."""
        found: list[str | None] = [None] * len(pairs)
        if self._others or self._most < math.inf:
            found = [self._by_pair(*pair, self._others) for pair in pairs]
        for at in np.flatnonzero(screening.suspects(pairs, self.params)).tolist():
            found[at] = self._by_pair(*pairs[at], self._active)
        for name, place, wanted in self._languages:
            left = [at for at, reason in enumerate(found) if reason is None]
            texts = [pairs[at][place] for at in left]
            others = quality.other_languages(texts, wanted, self.params.other_language or 1.0)
            for at, other in zip(left, others, strict=True):
                if other:
                    found[at] = name
        if self.params.opusfilter:
            for at, reason in enumerate(found):
                if reason is None and self._opus.drops(*pairs[at]):
                    found[at] = opus.REASON
        return found

    def _by_pair(self, source: str, target: str, active: Sequence[Filter]) -> str | None:
        for drops in active:
            if drops(source, target, self.params):
                return drops.__name__
        if self._most < math.inf:
            ratio = self.params.typical_length_ratio or 1.0
            if abs(deviation(len(source), len(target), ratio)) > self._most:
                return DEVIATION
        return None

    def identities(self, normalised: Sequence[Pair]) -> npt.NDArray[np.uint64]:
        """The digests by which pairs are duplicates of others: of both sides, or of one."""
        sides = [[pair.source for pair in normalised], [pair.target for pair in normalised]]
        if self.params.fold_duplicates:
            sides = [["".join(filter(str.isalnum, text)) or text for text in side] for side in sides]
        if self.params.duplicates == "pair":
            return digests(sides[0]) * np.uint64(3) + digests(sides[1])  # (a, b) differs from (b, a)
        return digests(sides[0] if self.params.duplicates == "source" else sides[1])

    def unchecked(self) -> list[str]:
        """The sides whose language is to be checked, but is unknown or not one that the identifier has."""
        if self.params.other_language is None:
            return []
        checked = {name for name, _, _ in self._languages}
        return [name.partition("_")[0] for name in LANGUAGES if name not in checked]


def check(params: Clean) -> None:
    """Raise UserError for an unknown script, which would drop every pair."""
    for key in ("source_script", "target_script"):
        wanted = getattr(params, key)
        if wanted and wanted not in _all_scripts():
            raise UserError(
                f"clean.{key}: no letter of Unicode has the script {wanted!r}; write e.g. "
                "Latin, Cyrillic, Arabic, Devanagari, Han, Japanese, Korean, or null for any"
            )


def _off(params: Clean) -> set[str]:
    """The names of the filters that these settings switch off; they are not called."""
    is_on = {
        "source_script": params.source_script,
        "target_script": params.target_script,
        "identical": params.drop_identical,
        "markup": params.markup != "keep",
        "mojibake": params.mojibake != "keep",
        "numbers": params.same_numbers,
        "addresses": params.same_addresses,
        "repetition": params.max_repetition,
        "sentence_end": params.same_sentence_end,
        "case": params.same_case,
    }
    return {name for name, setting in is_on.items() if not setting}


@cache
def _all_scripts() -> set[str | None]:
    uncached = script.__wrapped__  # else a million letters would stay in memory
    return {uncached(chr(code)) for code in range(sys.maxunicode + 1)} | set(WRITTEN_IN)
