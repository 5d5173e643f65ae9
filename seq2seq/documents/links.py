"""For each word of a translation the source word with most attention.

Why: the markup of a segment has to stand at the words that it belongs to, in another order and language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from seq2seq.data.placeholders import PLACEHOLDER
from seq2seq.inference.translation import Translation

# A placeholder is one word. Han and kana have no spaces: each character counts as a word.
WORD = re.compile(
    f"{PLACEHOLDER.pattern}|" r"[\u3040-\u30ff\u3400-\u9fff]|(?:(?![\u3040-\u30ff\u3400-\u9fff])\w)+|[^\w\s]"
)
Spans = list[tuple[int, int]]


def words(text: str) -> Spans:
    """Begin and end of each word and each mark."""
    return [found.span() for found in WORD.finditer(text)]


def link(source: str, translation: Translation) -> list[int]:
    """For each word of the translation the number of a source word; by its place if there is no attention."""
    sources, targets = words(source), words(translation.text)
    if translation.attention_TS is None or not sources:
        return [int((word + 0.5) / len(targets) * len(sources)) for word in range(len(targets))]
    rows = _overlaps(targets, _pieces(translation.target_pieces, translation.text))
    columns = _overlaps(sources, _pieces(translation.source_pieces, source))
    weights = rows @ translation.attention_TS[: rows.shape[1], : columns.shape[1]] @ columns.T
    # Marks belong to marks and words to words, where both have some attention.
    of_sources = np.array([source[begin].isalnum() for begin, _ in sources])
    of_targets = np.array([translation.text[begin].isalnum() for begin, _ in targets])
    weights += (weights > 0) * (of_targets[:, None] == of_sources)
    linked = [int(word) for word in weights.argmax(axis=1)]
    for word, place in _same_placeholders(source, sources, translation.text, targets):
        linked[word] = place
    return linked


def _same_placeholders(source: str, sources: Spans, target: str, targets: Spans) -> Iterator[tuple[int, int]]:
    """The placeholders of a translation with those of its source: a copy belongs to its original."""
    places: dict[str, list[int]] = {}
    for place, (begin, end) in enumerate(sources):
        if PLACEHOLDER.fullmatch(source, begin, end):
            places.setdefault(source[begin:end], []).append(place)
    for word, (begin, end) in enumerate(targets):
        if left := places.get(target[begin:end]):
            yield word, left.pop(0)


def _pieces(pieces: Sequence[str], text: str) -> npt.NDArray[np.float64]:
    """Begin and end in the text of each piece but </s>, as far as its length is that of the pieces."""
    texts = [piece.replace("\u2581", " ") for piece in pieces[:-1]]
    ends = np.cumsum([0, *map(len, texts)], dtype=float)
    spelt = "".join(texts)
    offset = len(spelt) - len(spelt.lstrip())
    spans = np.stack([ends[:-1], ends[1:]], axis=1) - offset
    stretched = len(text) / max(len(spelt) - offset, 1)  # 1 if normalisation keeps the number of characters
    placed: npt.NDArray[np.float64] = spans * stretched
    return placed


def _overlaps(spans: Spans, pieces: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The share of each piece that lies in each word."""
    begins, ends = np.array(spans, float).reshape(-1, 2).T[:, :, None]
    shared = np.minimum(ends, pieces[:, 1]) - np.maximum(begins, pieces[:, 0])
    lengths: npt.NDArray[np.float64] = np.maximum(pieces[:, 1] - pieces[:, 0], 1e-9)
    shares: npt.NDArray[np.float64] = np.maximum(shared, 0) / lengths
    return shares
