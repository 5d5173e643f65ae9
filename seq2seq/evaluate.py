"""evaluate: model, data/corpus -> reports: metrics.json, segments.jsonl, slices.csv, samples.json, ...

Why: promotion depends on these scores, and the reports show their basis sentence by sentence. They depend
on model, corpus and params alone. All evaluation sets are scored; promotion uses the frozen one, which
alone is reported in detail.
"""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from seq2seq.common import checkpoint_copies, memory, paths
from seq2seq.common.device import choose_device
from seq2seq.common.errors import UserError
from seq2seq.common.files import write_json
from seq2seq.common.progress import Progress, duration
from seq2seq.common.schema import Evaluate, Params
from seq2seq.data import contamination, direction, words
from seq2seq.data.corpus import Pair, count_pairs, evaluation_sets, read_split
from seq2seq.evaluation import alignment, bleu_tokenizer, calibration, plots, scores, slices
from seq2seq.inference.decoding import Decoding
from seq2seq.inference.parts import LONGEST
from seq2seq.inference.translation import Translation
from seq2seq.inference.translator import Translator
from seq2seq.nn import model_folder
from seq2seq.tracking import runs

T = TypeVar("T")
FITTED = "validation"  # the set on which the confidence is calibrated
CHUNK = 1000  # sentences between updates of the progress bar
FEWEST_WORDS, MOST_WORDS = 3, 14  # of a sample: fewer show little, the drawing of more is too wide


class Sample(NamedTuple):
    """A sentence of the frozen set shown in reports."""

    kind: str  # short | longest | reordered
    row: int


def evaluate(params: Params) -> None:
    """Score the model on every evaluation set; raises UserError if one of them is empty."""
    began = time.monotonic()
    how = params.evaluate
    memory.keep_freed_memory()
    translator = Translator.from_folder(paths.MODEL, choose_device("evaluate"))
    sets = {name: list(read_split(paths.CORPUS, name)) for name in evaluation_sets(paths.CORPUS)}
    if empty := [name for name, pairs in sets.items() if not pairs]:
        raise UserError(f"{paths.CORPUS} has no {empty[0]} pair: give ingest a {empty[0]} set that has")
    frozen = sets[how.frozen_set]
    tokenizer = bleu_tokenizer.choose(how.bleu_tokenizer, direction.read(paths.CORPUS).target)
    seen, counts = _compare_with_train(sets, frozen, params.clean.contamination_share)
    sources = {name: _readable(translator, name, pairs, how.split_sentences) for name, pairs in sets.items()}

    total = sum(map(len, sets.values())) + len(frozen) * (2 if how.frozen_set == FITTED else 1)
    with Progress("evaluate", "sentences", total) as progress:
        searching = time.monotonic()
        hypotheses = {
            name: _search(translator.translate, texts, how, how.beam, progress)
            for name, texts in sources.items()
            if name not in (how.frozen_set, FITTED)
        }
        fitted = _search(translator.translate_fully, sources[FITTED], how, how.beam, progress, attend=False)
        greedy = _search(translator.translate, sources[how.frozen_set], how, 1, progress)
        found = _search(translator.translate_fully, sources[how.frozen_set], how, how.beam, progress)
        rate = progress.done / (time.monotonic() - searching)
    hypotheses[FITTED] = [translation.text for translation in fitted]
    hypotheses[how.frozen_set] = [translation.text for translation in found]
    metrics = _metrics(sets, hypotheses, seen, how.frozen_set, tokenizer)
    ours, references = metrics[how.frozen_set], [pair.target for pair in frozen]
    ours["bleu_greedy"] = scores.score("bleu", greedy, references, tokenizer)
    ours |= _alignment_errors(translator, frozen)

    sliced = slices.find(frozen, counts, how)
    rows = slices.score(sliced, hypotheses[how.frozen_set], references, tokenizer)
    samples = pick_samples(frozen, found)
    judged = [
        calibration.judge(some, [pair.target for pair in pairs])
        for some, pairs in ((fitted, sets[FITTED]), (found, frozen))
    ]
    confidence = calibration.record(FITTED, judged[0], how.frozen_set, judged[1])
    _write_scores(metrics, rows)
    write_json(paths.CONFIDENCE, confidence)
    unit = words.unit(pair.source for pair in frozen)
    pictures = _draw(slices.by_length(rows), unit, found, samples, how.pictures)
    _write_sentences(frozen, found, greedy, sliced, samples, pictures)
    training = json.loads(paths.RUN.read_text(encoding="utf-8")) if paths.RUN.is_file() else None
    with runs.model_run(patient=True) as run:  # a retry would compute everything again
        runs.log_evaluation(run)
    if training:  # DVC has committed the model: its checkpoints are not needed any more
        shutil.rmtree(paths.CHECKPOINTS / training["fingerprint"], ignore_errors=True)
        checkpoint_copies.remove(training["fingerprint"])
    for line in (*_format_scores(metrics), calibration.describe(confidence)):
        print(f"evaluate: {line}")
    print(f"evaluate: {rate:,.0f} sentences/s, {duration(time.monotonic() - began)}")


def _compare_with_train(
    sets: Mapping[str, Sequence[Pair]], frozen: Sequence[Pair], share: float
) -> tuple[dict[str, set[int]], Mapping[str, int]]:
    """Rows of each set that train contains, exactly or nearly, and train's counts of the frozen set's words.

    Both are computed from data/corpus in one pass; earlier reports are not used.
    """
    wanted = slices.WordCounts(frozen)
    with Progress("evaluate", "train pairs", count_pairs(paths.CORPUS, "train")) as progress:
        train = wanted.over(progress.over(read_split(paths.CORPUS, "train")))
        return contamination.contaminated(sets, train, share), wanted.counts


def pick_samples(frozen: Sequence[Pair], found: Sequence[Translation]) -> list[Sample]:
    """A short sentence, the longest, and the most reordered one that fits a terminal.

    The choice does not depend on the translations' quality. The most reordered sentence is the one where
    the source words of two neighbouring target words are farthest apart, by the gold alignment or else by
    attention; without either it is left out.
    """
    lengths = [words.length(pair.source) for pair in frozen]
    rows = range(len(frozen))
    short = min(rows, key=lambda row: (lengths[row] < FEWEST_WORDS, lengths[row]))
    samples = [Sample("short", short), Sample("longest", max(rows, key=lengths.__getitem__))]

    def reordered(row: int) -> tuple[float, int]:
        links = alignment.gold(frozen[row]) or alignment.attended(frozen[row], found[row])
        longest = max(lengths[row], words.length(frozen[row].target))
        fits = FEWEST_WORDS < longest <= MOST_WORDS
        return (alignment.largest_jump(links) / longest if fits else 0.0, lengths[row])

    most = max(rows, key=reordered)
    return [*samples, Sample("reordered", most)] if reordered(most)[0] else samples


def _readable(translator: Translator, name: str, pairs: Sequence[Pair], split_sentences: bool) -> list[str]:
    """The sources; those too long for the model are replaced by empty texts, which stay untranslated."""
    texts = [pair.source for pair in pairs]
    if refused := translator.refusals(texts, split_sentences):
        print(f"evaluate: {len(refused):,} {name} sentences exceed {LONGEST} tokens: left untranslated")
    return ["" if i in refused else text for i, text in enumerate(texts)]


def _search(
    translate: Callable[..., list[T]],
    texts: list[str],
    how: Evaluate,
    beam: int,
    progress: Progress,
    **options: bool,
) -> list[T]:
    """The results of `translate` as users get them, called for chunks of texts to show progress."""
    found: list[T] = []
    for begin in range(0, len(texts), CHUNK):
        chunk = texts[begin : begin + CHUNK]
        settings = Decoding(beam, how.length_penalty, how.max_length, how.precision, how.split_sentences)
        found += translate(chunk, *settings, batch_size=how.batch_size, warn=False, divide=True, **options)
        progress.advance(len(chunk))
    return found


def _metrics(
    sets: Mapping[str, Sequence[Pair]],
    hypotheses: Mapping[str, Sequence[str]],
    seen: Mapping[str, set[int]],
    frozen_set: str,
    tokenizer: str,
) -> dict[str, Any]:
    """The contents of metrics.json; without times, so that the same model gives the same file."""
    metrics: dict[str, Any] = {}
    for name, pairs in sets.items():
        result = scores.corpus_scores(hypotheses[name], [pair.target for pair in pairs], tokenizer)._asdict()
        signatures = result.pop("signatures")
        metrics[name] = {**result, "sentences": len(pairs), "contaminated": len(seen[name])}
    return metrics | {
        "frozen_set": frozen_set,
        "digests": {name: scores.set_digest(pairs) for name, pairs in sets.items()},
        "signatures": signatures,
        "model_digest": model_folder.digest(paths.MODEL),
    }


def _alignment_errors(translator: Translator, frozen: Sequence[Pair]) -> dict[str, float]:
    """The error rate of attention to the references, by the gold alignment, if the corpus has one."""
    aligned = [pair for pair in frozen if pair.alignment]
    forced = translator.attend([pair.source for pair in aligned], [pair.target for pair in aligned])
    pairs = [
        (alignment.attended(*both), alignment.gold(both[0])) for both in zip(aligned, forced, strict=True)
    ]
    pairs = [(links, gold) for links, gold in pairs if links]
    rate = alignment.error_rate(pairs)
    return {} if rate is None else {"alignment_error_rate": rate, "aligned_sentences": len(pairs)}


def _format_scores(metrics: Mapping[str, Any]) -> Iterator[str]:
    """A line for each set, and BLEU's signature."""
    for name in metrics["digests"]:
        of = metrics[name]
        greedy = f" (greedy {of['bleu_greedy']:.1f})" if name == metrics["frozen_set"] else ""
        yield (
            f"{name} BLEU {of['bleu']:.1f}{greedy}, 95 % between {of['bleu_low']:.1f} and "
            f"{of['bleu_high']:.1f}, chrF {of['chrf']:.1f}, TER {of['ter']:.1f}; {of['contaminated']:,} of "
            f"{of['sentences']:,} sentences in training, exactly or nearly"
        )
    yield f"{metrics['frozen_set']} decides; signature BLEU|{metrics['signatures']['bleu']}"


def _write_scores(metrics: Mapping[str, Any], rows: Sequence[slices.Slice]) -> None:
    paths.REPORTS.mkdir(parents=True, exist_ok=True)
    paths.METRICS.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    paths.SCORES.write_text(json.dumps(_few_scores(metrics), indent=2) + "\n", encoding="utf-8")
    _write_table(paths.SLICES, slices.Slice._fields, rows)
    _write_table(paths.LENGTHS, scores.LengthBin._fields, slices.by_length(rows))


def _few_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The scores of the frozen set, and validation BLEU: short enough for the tables of DVC."""
    found = {name: metrics[metrics["frozen_set"]][name] for name in scores.METRICS}
    found["valid"] = metrics["validation"]["bleu"]
    return {name: round(value, 2) for name, value in found.items()}


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def _write_sentences(
    frozen: Sequence[Pair],
    found: Sequence[Translation],
    greedy: Sequence[str],
    sliced: Mapping[str, Sequence[int]],
    samples: Sequence[Sample],
    pictures: Mapping[int, str],
) -> None:
    slices_of: list[list[str]] = [[] for _ in frozen]
    for name, rows in sliced.items():
        for row in rows:
            slices_of[row].append(name)
    with paths.SEGMENTS.open("w", encoding="utf-8") as file:
        for pair, translation, first, names in zip(frozen, found, greedy, slices_of, strict=True):
            segment = {
                "source": pair.source,
                "reference": pair.target,
                "hypothesis": translation.text,
                "greedy": first,
                "score": round(translation.score, scores.DIGITS),
                "words": words.length(pair.source),
                "chrf": scores.sentence_chrf(translation.text, pair.target),
                "slices": names,
            }
            file.write(json.dumps(segment, ensure_ascii=False) + "\n")
    shown = []
    for kind, row in samples:
        _, _, source, target, attention, *_ = found[row]
        shown.append(
            {
                "kind": kind,
                "source": frozen[row].source,
                "hypothesis": found[row].text,
                "reference": frozen[row].target,
                "source_pieces": source,
                "picture": pictures.get(row),
                "drawing": None if attention is None else plots.alignment_text(source, target, attention),
            }
        )
    paths.SAMPLES.write_text(json.dumps(shown, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _draw(
    bins: Sequence[scores.LengthBin],
    unit: str,
    found: Sequence[Translation],
    samples: Sequence[Sample],
    pictures: int,
) -> dict[int, str]:
    """Draw BLEU by length, and attention of the samples and of evenly spaced sentences: names by row."""
    plots.length_chart(paths.PICTURES / "bleu_by_length.png", bins, unit)
    step = max(len(found) // max(pictures, 1), 1)
    named = {row: kind for kind, row in reversed(samples)}
    named |= {row: "sentence" for row in range(0, len(found), step) if row not in named}
    drawn = {}
    for number, (row, kind) in enumerate(list(named.items())[:pictures], start=1):
        _, _, source, target, attention, *_ = found[row]
        if attention is not None:
            drawn[row] = f"attention_{number}_{kind}.png"
            plots.attention_map(paths.PICTURES / drawn[row], source, target, attention)
    return drawn
