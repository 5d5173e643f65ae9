"""Scores of translations: BLEU, chrF and TER, with signatures, intervals and paired tests.

Why: scores are comparable only if computed in the same way on the same sentences, so each has a signature
(Post 2018, "A Call for Clarity in Reporting BLEU Scores"), and a set of sentences has a digest. A
difference counts only if it is significant.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics import BLEU, CHRF, TER

from seq2seq.data.corpus import Pair
from seq2seq.evaluation.bleu_tokenizer import KOREAN, SPACED, of_texts

DIGITS = 4  # of a rounded score
SEED = 12345
RESAMPLES, SHUFFLES = 1000, 10_000  # for an interval, for a test
MOST_DRAWN = 10_000_000  # numbers held in memory at once
ROUNDING = 1e-9  # scores that differ by less are the same

METRICS = ("bleu", "chrf", "ter")
Counts = npt.NDArray[np.float64]  # the statistics of a metric, of a sentence or summed


class Scores(NamedTuple):
    """Scores of a corpus, in per cent: the higher the better BLEU and chrF, the lower the better TER.

    Low and high bound 95 % of bootstrap resamples, taken evenly around their mean as sacreBLEU does. The
    brevity penalty is 1 at best.
    """

    bleu: float
    bleu_low: float
    bleu_high: float
    chrf: float
    chrf_low: float
    chrf_high: float
    ter: float
    ter_low: float
    ter_high: float
    brevity_penalty: float
    signatures: dict[str, str]


class LengthBin(NamedTuple):
    """Scores of sentences by length of source in words (characters, in scripts without spaces)."""

    words: str  # "3-7"
    sentences: int
    bleu: float
    chrf: float


class Difference(NamedTuple):
    """The score of a system minus that of a baseline, and the two-sided p-value."""

    delta: float
    p: float


def _make(metric: str, tokenizer: str, **options: Any) -> Any:
    """A metric of sacreBLEU's; `force` only silences its advice about text that looks tokenised."""
    match metric:
        case "bleu":
            return BLEU(tokenize=tokenizer, force=True, **options)
        case "ter":  # with `asian_support` Han and kana characters count as words
            unspaced = tokenizer not in (*SPACED, KOREAN)
            return TER(normalized=unspaced, asian_support=unspaced, **options)
        case _:
            return CHRF(**options)


def signatures(tokenizer: str) -> dict[str, str]:
    """The signature of each metric, for one reference."""
    found = {}
    for name in METRICS:
        metric = _make(name, tokenizer, references=[["a"]])
        metric.corpus_score(["a"], None)
        found[name] = str(metric.get_signature())
    return found


def corpus_scores(
    hypotheses: Sequence[str], references: Sequence[str], tokenizer: str | None = None
) -> Scores:
    """All metrics over all sentences together, as sacreBLEU counts them, with intervals.

    `tokenizer` is sacreBLEU's name of BLEU's; without one it follows the references' script.
    """
    tokenizer = tokenizer or of_texts(references)
    whole = BLEU(tokenize=tokenizer).corpus_score(hypotheses, [references])  # logs sacreBLEU's advice once
    # Metric.corpus_score() resamples too, but in sacreBLEU 2.6 it fails if some resamples have no match,
    # keeps all of them in memory, and adds the resampling to the signature.
    figures: dict[str, float] = {}
    signed = {}
    for name in METRICS:
        metric = _make(name, tokenizer, references=[references])
        counts = np.asarray(metric._extract_corpus_statistics(hypotheses, None), float)
        resampled = sorted(_summed_up(metric, drawn) for drawn in _resamples(counts))
        outside = len(resampled) // 40  # at either end
        mean, half = np.mean(resampled), (resampled[-outside - 1] - resampled[outside]) / 2
        most = math.inf if name == "ter" else 100.0  # a symmetric interval could exceed it
        figures[name] = round(_summed_up(metric, counts.sum(axis=0)), DIGITS)
        figures[f"{name}_low"] = round(max(float(mean - half), 0.0), DIGITS)
        figures[f"{name}_high"] = round(min(float(mean + half), most), DIGITS)
        signed[name] = str(metric.get_signature())
    return Scores(**figures, brevity_penalty=round(whole.bp, DIGITS), signatures=signed)


def score(
    metric: str, hypotheses: Sequence[str], references: Sequence[str], tokenizer: str | None = None
) -> float:
    """One metric over all sentences together, without an interval; `tokenizer` as for `corpus_scores`."""
    return round(
        float(_make(metric, tokenizer or of_texts(references)).corpus_score(hypotheses, [references]).score),
        DIGITS,
    )


def sentence_chrf(hypothesis: str, reference: str) -> float:
    """chrF of one sentence; BLEU is not meaningful for so few words."""
    return round(float(CHRF().sentence_score(hypothesis, [reference]).score), DIGITS)


def paired_test(
    baseline: Sequence[str],
    system: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = METRICS,
    tokenizer: str | None = None,
) -> dict[str, Difference]:
    """Paired approximate randomisation of two systems' translations of the same sentences.

    p is the share of random exchanges with a difference at least as large as the one found (Riezler and
    Maxwell 2005). sacreBLEU's own test counts larger ones only, so that its p is too small if few
    translations differ: their exchanges give the same few differences many times.
    """
    found = {}
    tokenizer = tokenizer or of_texts(references)
    for name in metrics:
        metric = _make(name, tokenizer, references=[references])
        counted = (metric._extract_corpus_statistics(texts, None) for texts in (baseline, system))
        before, after = (np.asarray(counts, float) for counts in counted)
        total_before, total_after = before.sum(axis=0), after.sum(axis=0)
        delta = _summed_up(metric, total_after) - _summed_up(metric, total_before)
        moves = (after - before)[(after != before).any(axis=1)]
        as_large = 0
        for moved in _exchanges(moves):
            exchanged = _summed_up(metric, total_after - moved) - _summed_up(metric, total_before + moved)
            as_large += abs(exchanged) >= abs(delta) - ROUNDING
        p = (as_large + 1) / (SHUFFLES + 1)  # + 1: the translations without an exchange
        found[name] = Difference(round(delta, DIGITS), p)
    return found


def set_digest(pairs: Iterable[Pair]) -> str:
    """sha256 of an evaluation set; only scores on the same set are comparable."""
    total = hashlib.sha256()
    for pair in pairs:
        total.update((json.dumps([pair.source, pair.target]) + "\n").encode())
    return total.hexdigest()


def equal_bins(values: Sequence[int], bins: int) -> list[tuple[int, int]]:
    """Ranges (least, most) that contain equally many of `values`, as far as possible.

    Equal values share a bin, so that bins may differ in size, and there may be fewer than `bins`.
    """
    ordered = sorted(values)
    ends = sorted({ordered[len(ordered) * k // bins - 1] for k in range(1, bins + 1) if ordered})
    ranges = []
    for below, end in zip([-1, *ends], ends, strict=False):
        inside = [value for value in ordered if below < value <= end]
        ranges.append((inside[0], end))
    return ranges


def _summed_up(metric: Any, counts: Counts) -> float:
    """A metric of counts summed over sentences."""
    return float(metric._compute_score_from_stats(counts.tolist()).score)


def _resamples(counts: Counts) -> Iterator[Counts]:
    """The summed counts of RESAMPLES sets of as many sentences, drawn with replacement."""
    draw, sentences = np.random.default_rng(SEED), len(counts)
    portion = max(1, MOST_DRAWN // sentences)
    for begin in range(0, RESAMPLES, portion):
        size = min(portion, RESAMPLES - begin)
        times = draw.multinomial(sentences, np.full(sentences, 1 / sentences), size)
        yield from times.astype(float) @ counts


def _exchanges(moves: Counts) -> Iterator[Counts]:
    """The counts that SHUFFLES random exchanges add to one system and subtract from the other."""
    draw = np.random.default_rng(SEED)
    portion = max(1, MOST_DRAWN // max(1, len(moves)))
    for begin in range(0, SHUFFLES, portion):
        exchanged = draw.integers(2, size=(min(portion, SHUFFLES - begin), len(moves)), dtype=np.int8)
        yield from exchanged.astype(float) @ moves
