"""Texts as the sentences that a model translates, and the way back.

Why: a model translates sentences of limited length; texts have several, and some too long ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from seq2seq.common.errors import UserError
from seq2seq.inference import clauses, sentences
from seq2seq.inference.hypothesis import Hypothesis
from seq2seq.inference.sentences import Sentence, Sentences

LONGEST = 500  # tokens of a source; training has none as long
FEWEST = 8  # tokens of a sentence that is divided because its translation did not end
T = TypeVar("T")
Encode = Callable[[list[str]], list[list[int]]]


Found = list[Hypothesis | None]


class Parts:
    """The sentences of texts, in order, and their ids; `splits` counts, by text, divided sentences."""

    def __init__(self, groups: list[Sentences], ids: list[list[int]], splits: list[int]) -> None:
        self.groups, self.ids, self.splits = groups, ids, splits

    @classmethod
    def of(cls, texts: Sequence[str], encode: Encode, language: str | None, split: bool) -> Parts:
        """Texts split into sentences, if `split`, and encoded."""
        groups = [
            (sentences.split(text, language) if split else None) or Sentences([Sentence("", text)], "")
            for text in texts
        ]
        parts = cls(groups, [], [0] * len(groups))
        parts.ids = encode(parts.sentences)
        return parts

    @property
    def sentences(self) -> list[str]:
        """The sentences of all texts."""
        return [sentence.text for group in self.groups for sentence in group.parts]

    def fitting(self, limit: int, encode: Encode) -> Parts:
        """These parts with every sentence of more than `limit` tokens divided until its parts fit."""
        parts = self
        while rows := {row for row, ids in enumerate(parts.ids) if len(ids) > limit}:
            divided, _ = parts.divided(rows, encode)
            if len(divided.ids) == len(parts.ids):  # one character of many tokens
                return divided
            parts = divided
        return parts

    def searched(
        self, search: Callable[[Parts, Sequence[int]], Found], encode: Encode
    ) -> tuple[Parts, Found]:
        """These parts and their hypotheses; one whose translation does not end is divided until it does.

        `search` gives the hypotheses of some rows.
        """
        parts, found = self, search(self, range(len(self.ids)))
        while unended := parts._unended(found):
            parts, origins = parts.divided(unended, encode)
            if None not in origins:
                break
            new = iter(search(parts, [row for row, origin in enumerate(origins) if origin is None]))
            found = [next(new) if origin is None else found[origin] for origin in origins]
        return parts, found

    def _unended(self, found: Found) -> set[int]:
        """The rows whose translation reached the maximal length before its end."""
        return {
            row
            for row, hypothesis in enumerate(found)
            if hypothesis and not hypothesis.ended and len(self.ids[row]) >= FEWEST
        }

    def divided(self, rows: set[int], encode: Encode) -> tuple[Parts, list[int | None]]:
        """These parts with those of `rows` in two, and for each new part the row of the old one, if it stays.

        A part of one character stays.
        """
        groups, splits, origins, new = [], [], list[int | None](), list[str]()
        number = 0
        for group, before in zip(self.groups, self.splits, strict=True):
            found: list[Sentence] = []
            for sentence in group.parts:
                halves = clauses.divide(sentence.text) if number in rows else None
                if halves is None:
                    found.append(sentence)
                    origins.append(number)
                else:
                    first, second = halves
                    found += [
                        first._replace(before=sentence.before),
                        second._replace(is_cut=sentence.is_cut),
                    ]
                    origins += [None, None]
                    new += [first.text, second.text]
                number += 1
            groups.append(Sentences(found, group.after))
            splits.append(before + len(found) - len(group.parts))
        rest = iter(encode(new))
        ids = [next(rest) if origin is None else self.ids[origin] for origin in origins]
        return Parts(groups, ids, splits), origins

    def join(self, translations: Iterable[str]) -> Iterator[str]:
        """The translation of each text from those of all sentences."""
        for group, found in zip(self.groups, self.group(translations), strict=True):
            yield sentences.join(group, found)

    def singly(self) -> Iterator[Parts]:
        """The parts of each text alone."""
        for group, ids, splits in zip(self.groups, self.group(self.ids), self.splits, strict=True):
            yield Parts([group], ids, [splits])

    def group(self, items: Iterable[T]) -> Iterator[list[T]]:
        """The items of all sentences, grouped by text."""
        rest = iter(items)
        for group in self.groups:
            yield list(islice(rest, len(group.parts)))


def no_text(value: object) -> str:
    """The reason why a value is not a text that can be translated; empty if it is one."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return "it is not valid Unicode: half of a surrogate pair"
        return ""
    if value is None or (isinstance(value, float) and math.isnan(value)):  # NaN: missing in a table
        return "null is not a text"
    kind = {bool: "a bool", int: "a number", float: "a number"}.get(
        type(value), f"of type {type(value).__name__}"
    )
    return f"{str(value)[:60]} is {kind}, not a text"


def portions(order: list[int], size: int) -> Iterator[list[int]]:
    """Consecutive portions of `size`, the last one shorter; raises UserError for a size below 1."""
    if size < 1:
        raise UserError(f"batch_size: {size} is not allowed, it should be 1 or more")
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]
