"""How good translations are: BLEU and chrF with signatures, by source length, and alignment errors.

Why: a score can be compared only with scores made the same way, so each is given with the signature
that says how (Post 2018, "A Call for Clarity in Reporting BLEU Scores").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sacrebleu.metrics import BLEU, CHRF

Links = set[tuple[int, int]]  # (source word, target word), counted from 0
DIGITS = 4  # kept of a score


class Scores(NamedTuple):
    """Scores of a corpus, 0 to 100, the higher the better; the brevity penalty is 1 at best."""

    bleu: float
    chrf: float
    brevity_penalty: float
    signatures: dict[str, str]


class LengthBin(NamedTuple):
    """Scores of the sentences whose source has so many words."""

    words: str  # "3-7"
    sentences: int
    bleu: float
    chrf: float


def corpus_scores(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
    """BLEU and chrF over all sentences together, as sacreBLEU counts them by default."""
    bleu, chrf = BLEU(), CHRF()
    found = bleu.corpus_score(hypotheses, [references])
    return Scores(
        round(found.score, DIGITS),
        round(chrf.corpus_score(hypotheses, [references]).score, DIGITS),
        round(found.bp, DIGITS),
        {"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())},
    )


def sentence_chrf(hypothesis: str, reference: str) -> float:
    """chrF of one sentence; BLEU is not defined well for so few words."""
    return round(float(CHRF().sentence_score(hypothesis, [reference]).score), DIGITS)


def by_length(
    sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str], bins: int
) -> list[LengthBin]:
    """Scores by the source's number of words, in at most `bins` bins of equal count."""
    lengths = [len(source.split()) for source in sources]
    rows = []
    for shortest, longest in equal_bins(lengths, bins):
        chosen = [i for i, length in enumerate(lengths) if shortest <= length <= longest]
        scores = corpus_scores([hypotheses[i] for i in chosen], [references[i] for i in chosen])
        words = f"{shortest}-{longest}" if shortest < longest else str(shortest)
        rows.append(LengthBin(words, len(chosen), scores.bleu, scores.chrf))
    return rows


def equal_bins(values: Sequence[int], bins: int) -> list[tuple[int, int]]:
    """Ranges (least, most) that hold equally many of `values`, as far as that is possible.

    Equal values share a bin, so bins may differ in size, and there may be fewer than asked for.
    """
    ordered = sorted(values)
    ends = sorted({ordered[len(ordered) * k // bins - 1] for k in range(1, bins + 1) if ordered})
    ranges = []
    for below, end in zip([-1, *ends], ends, strict=False):
        inside = [value for value in ordered if below < value <= end]
        ranges.append((inside[0], end))
    return ranges


def parse_alignment(pharaoh: str) -> Links:
    """The links of an alignment written as "0-0 1-2"."""
    links = (link.split("-") for link in pharaoh.split())
    return {(int(source), int(target)) for source, target in links}


def alignment_error_rate(pairs: Iterable[tuple[Links, Links]]) -> float | None:
    """AER of (found, gold) links, 0 at best (Och & Ney 2003, every gold link sure); None without."""
    shared = size = 0
    for found, gold in pairs:
        shared += len(found & gold)
        size += len(found) + len(gold)
    return round(1 - 2 * shared / size, DIGITS) if size else None
