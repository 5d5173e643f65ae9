"""evaluate: model, data/corpus -> reports: metrics.json, segments.jsonl, samples.json, pictures, ...

Why: the figures by which a model is promoted, and what stands behind them sentence by sentence, so
that nobody has to believe an average. They follow from model, corpus and params alone.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from seq2seq import figures, paths, scores, tracking
from seq2seq.corpus import Pair, count_pairs, digest, read_split
from seq2seq.device import choose_device
from seq2seq.errors import UserError
from seq2seq.params import Evaluate, Params
from seq2seq.progress import Progress, duration
from seq2seq.translator import LONGEST, Translation, Translator, model_digest

T = TypeVar("T")
CHUNK = 1000  # sentences between two words of progress
FEWEST_WORDS, MOST_WORDS = 3, 14  # a sample of fewer shows little, the drawing of more is too wide


class Sample(NamedTuple):
    """A test sentence to be shown to people."""

    kind: str  # short | longest | reordered
    row: int


def evaluate(params: Params) -> None:
    """Score the model on validation and test; raises UserError if one of them is empty."""
    began = time.monotonic()
    how = params.evaluate
    translator = Translator.from_folder(paths.MODEL, choose_device("evaluate"))
    splits = {split: list(read_split(paths.CORPUS, split)) for split in ("validation", "test")}
    if empty := [split for split, pairs in splits.items() if not pairs]:
        raise UserError(f"{paths.CORPUS} has no {empty[0]} pair: give ingest.path a split that has")
    test = splits["test"]
    sources = {split: _readable(translator, split, pairs) for split, pairs in splits.items()}

    with Progress("evaluate", "sentences", len(sources["validation"]) + 2 * len(test)) as progress:
        searching = time.monotonic()
        validation = _search(translator.translate, sources["validation"], how, how.beam, progress)
        greedy = _search(translator.translate, sources["test"], how, 1, progress)
        found = _search(translator.translate_fully, sources["test"], how, how.beam, progress)
        rate = progress.done / (time.monotonic() - searching)
    hypotheses = [translation.text for translation in found]
    metrics = _metrics(splits, validation, hypotheses, greedy)
    metrics["test"]["seen_in_training"] = seen_in_training(test)
    metrics["test"] |= _alignment_errors(translator, test)

    references = [pair.target for pair in test]
    bins = scores.by_length([pair.source for pair in test], hypotheses, references, how.length_bins)
    samples = pick_samples(test, found)
    _write(metrics, bins, test, found, greedy, samples)
    _draw(bins, found, samples, how.pictures)
    with tracking.model_run() as run:
        tracking.log_evaluation(run)
        made = json.loads(paths.RUN.read_text(encoding="utf-8"))
        # Now that DVC has committed the model, its training need not be gone on with.
        shutil.rmtree(paths.CHECKPOINTS / made["fingerprint"], ignore_errors=True)
    ours = metrics["test"]
    print(
        f"evaluate: test BLEU {ours['bleu']:.1f}, chrF {ours['chrf']:.1f} (greedy BLEU "
        f"{ours['bleu_greedy']:.1f}), validation BLEU {metrics['validation']['bleu']:.1f}; "
        f"{ours['seen_in_training']:,} of {len(test):,} test sentences seen in training; "
        f"{rate:,.0f} sentences/s, {duration(time.monotonic() - began)}"
    )
    print(f"evaluate: signature BLEU|{metrics['signatures']['bleu']}")


def seen_in_training(test: Sequence[Pair]) -> int:
    """How many test pairs have a source or a target that train has too, counted on what lies there."""
    sources = {digest(pair.source): False for pair in test}
    targets = {digest(pair.target): False for pair in test}
    with Progress("evaluate", "train pairs", count_pairs(paths.CORPUS, "train")) as progress:
        for pair in progress.over(read_split(paths.CORPUS, "train")):
            for text, seen in ((pair.source, sources), (pair.target, targets)):
                if (found := digest(text)) in seen:
                    seen[found] = True
    return sum(sources[digest(pair.source)] or targets[digest(pair.target)] for pair in test)


def pick_samples(test: Sequence[Pair], found: Sequence[Translation]) -> list[Sample]:
    """A short sentence, the longest and the most reordered one that fits a terminal.

    None is picked by how well it is translated. Reordered is where the source words of two
    neighbouring target words lie farthest apart, in the gold alignment or else in attention; without
    either there is no such sample.
    """
    words = [len(pair.source.split()) for pair in test]
    rows = range(len(test))
    short = min(rows, key=lambda row: (words[row] < FEWEST_WORDS, words[row]))
    samples = [Sample("short", short), Sample("longest", max(rows, key=words.__getitem__))]

    def reordered(row: int) -> tuple[float, int]:
        links = _gold(test[row]) or _attended(test[row], found[row])
        longest = max(words[row], len(test[row].target.split()))
        fits = FEWEST_WORDS < longest <= MOST_WORDS
        return (largest_jump(links) / longest if fits else 0.0, words[row])

    most = max(rows, key=reordered)
    return [*samples, Sample("reordered", most)] if reordered(most)[0] else samples


def largest_jump(links: scores.Links) -> int:
    """How many source words a reader of the target skips forward at most from a word to the next."""
    first: dict[int, int] = {}
    for source, target in links:
        first[target] = min(source, first.get(target, source))
    jumps = (first[word + 1] - first[word] - 1 for word in first if word + 1 in first)
    return max([0, *jumps])


def split_digest(pairs: Sequence[Pair]) -> str:
    """sha256 of an evaluation split: scores of two models compare only on the same one."""
    total = hashlib.sha256()
    for pair in pairs:
        total.update((json.dumps([pair.source, pair.target]) + "\n").encode())
    return total.hexdigest()


def _readable(translator: Translator, split: str, pairs: Sequence[Pair]) -> list[str]:
    """The sources, those too long for the model emptied: each then counts as not translated."""
    texts = [pair.source for pair in pairs]
    ids = translator.vocabulary.encode_all(texts)
    short = [text if len(i) <= LONGEST else "" for text, i in zip(texts, ids, strict=True)]
    if lost := sum(len(i) > LONGEST for i in ids):
        print(f"evaluate: {lost:,} {split} sentences exceed {LONGEST} tokens: left untranslated")
    return short


def _search(
    translate: Callable[..., list[T]],
    texts: list[str],
    how: Evaluate,
    beam: int,
    progress: Progress,
) -> list[T]:
    """What `translate` gives for each text, asked for in chunks so that progress shows."""
    found: list[T] = []
    for begin in range(0, len(texts), CHUNK):
        chunk = texts[begin : begin + CHUNK]
        found += translate(chunk, beam, how.length_penalty, how.max_length, how.precision, how.batch_size)
        progress.advance(len(chunk))
    return found


def _metrics(
    splits: dict[str, list[Pair]], validation: list[str], hypotheses: list[str], greedy: list[str]
) -> dict[str, Any]:
    """What metrics.json says of quality; no seconds, so that the same model gives the same file."""
    found = {"validation": validation, "test": hypotheses}
    metrics: dict[str, Any] = {}
    for split, pairs in splits.items():
        result = scores.corpus_scores(found[split], [pair.target for pair in pairs])
        metrics[split] = {
            "bleu": result.bleu,
            "chrf": result.chrf,
            "brevity_penalty": result.brevity_penalty,
            "sentences": len(pairs),
        }
    references = [pair.target for pair in splits["test"]]
    metrics["test"]["bleu_greedy"] = scores.corpus_scores(greedy, references).bleu
    metrics["signatures"] = result.signatures
    metrics["test_digest"] = split_digest(splits["test"])
    metrics["model_digest"] = model_digest(paths.MODEL)
    return metrics


def _alignment_errors(translator: Translator, test: Sequence[Pair]) -> dict[str, float]:
    """Attention against the gold alignment, where there is one, while the references are said."""
    known = [pair for pair in test if pair.alignment]
    said = translator.attend([pair.source for pair in known], [pair.target for pair in known])
    pairs = [(_attended(*both), _gold(both[0])) for both in zip(known, said, strict=True)]
    pairs = [(links, gold) for links, gold in pairs if links]
    rate = scores.alignment_error_rate(pairs)
    return {} if rate is None else {"alignment_error_rate": rate, "aligned_sentences": len(pairs)}


def _gold(pair: Pair) -> scores.Links:
    return scores.parse_alignment(pair.alignment or "")


def _attended(pair: Pair, translation: Translation) -> scores.Links:
    """For each target word the source word that attention looked at most; none if source words differ."""
    if translation.attention_TS is None:
        return set()
    source, target, weights = figures.merge_words(
        translation.source_pieces, translation.target_pieces, translation.attention_TS
    )
    if len(source) != len(pair.source.split()):  # the vocabulary's normalisation parted or joined some
        return set()
    return {(int(weights[word].argmax()), word) for word in range(len(target))}


def _write(
    metrics: dict[str, Any],
    bins: Sequence[scores.LengthBin],
    test: Sequence[Pair],
    found: Sequence[Translation],
    greedy: Sequence[str],
    samples: Sequence[Sample],
) -> None:
    paths.REPORTS.mkdir(parents=True, exist_ok=True)
    paths.METRICS.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    with paths.LENGTHS.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(scores.LengthBin._fields)
        rows.writerows(bins)
    with paths.SEGMENTS.open("w", encoding="utf-8") as file:
        for pair, translation, first in zip(test, found, greedy, strict=True):
            segment = {
                "source": pair.source,
                "reference": pair.target,
                "hypothesis": translation.text,
                "greedy": first,
                "score": round(translation.score, scores.DIGITS),
                "words": len(pair.source.split()),
                "chrf": scores.sentence_chrf(translation.text, pair.target),
            }
            file.write(json.dumps(segment, ensure_ascii=False) + "\n")
    shown = []
    for kind, row in samples:
        _, _, source, target, attention = found[row]
        shown.append(
            {
                "kind": kind,
                "source": test[row].source,
                "hypothesis": found[row].text,
                "reference": test[row].target,
                "source_pieces": source,
                "target_pieces": target,
                "attention": None if attention is None else attention.astype(float).round(3).tolist(),
                "drawing": None if attention is None else figures.alignment_text(source, target, attention),
            }
        )
    paths.SAMPLES.write_text(json.dumps(shown, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _draw(
    bins: Sequence[scores.LengthBin],
    found: Sequence[Translation],
    samples: Sequence[Sample],
    pictures: int,
) -> None:
    """The bars, and attention of the samples and of sentences from all over the split."""
    figures.length_chart(paths.PICTURES / "bleu_by_length.png", bins)
    step = max(len(found) // max(pictures, 1), 1)
    named = {row: kind for kind, row in reversed(samples)}
    named |= {row: "sentence" for row in range(0, len(found), step) if row not in named}
    for number, (row, kind) in enumerate(list(named.items())[:pictures], start=1):
        _, _, source, target, attention = found[row]
        if attention is not None:
            path = paths.PICTURES / f"attention_{number}_{kind}.png"
            figures.attention_map(path, source, target, attention)
