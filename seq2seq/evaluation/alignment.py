"""Word alignment: from the corpus (gold), from attention, and the error rate between both.

Why: the error rate measures attention, and links show which sentences reorder most.
"""

from __future__ import annotations

from collections.abc import Iterable

from seq2seq.data.corpus import Pair
from seq2seq.evaluation import plots
from seq2seq.evaluation.scores import DIGITS
from seq2seq.inference.translation import Translation

Links = set[tuple[int, int]]  # (source word, target word), counted from 0


def parse(pharaoh: str) -> Links:
    """The links of an alignment written as "0-0 1-2"."""
    links = (link.split("-") for link in pharaoh.split())
    return {(int(source), int(target)) for source, target in links}


def gold(pair: Pair) -> Links:
    """The gold links of the corpus, if it has any."""
    return parse(pair.alignment or "")


def attended(pair: Pair, translation: Translation) -> Links:
    """For each target word the source word with most attention; none if source words differ from the text's.

    With gold links, none if target words differ either: compared links must count the same words.
    """
    if translation.attention_TS is None:
        return set()
    source, target, weights = plots.merge_words(
        translation.source_pieces, translation.target_pieces, translation.attention_TS
    )
    # The vocabulary's normalisation may split or join words.
    if len(source) != len(pair.source.split()):
        return set()
    if pair.alignment and len(target) != len(pair.target.split()):
        return set()
    return {(int(weights[word].argmax()), word) for word in range(len(target))}


def error_rate(pairs: Iterable[tuple[Links, Links]]) -> float | None:
    """AER of (found, gold) links, 0 at best (Och & Ney 2003, all gold links sure); None without links."""
    shared = size = 0
    for found, wanted in pairs:
        shared += len(found & wanted)
        size += len(found) + len(wanted)
    return round(1 - 2 * shared / size, DIGITS) if size else None


def largest_jump(links: Links) -> int:
    """The most source words skipped between two neighbouring target words."""
    first: dict[int, int] = {}
    for source, target in links:
        first[target] = min(source, first.get(target, source))
    jumps = (first[word + 1] - first[word] - 1 for word in first if word + 1 in first)
    return max([0, *jumps])
