"""tokenize: data/corpus -> data/vocabulary, data/tokens, reports/{tokenizer,profile}.json.

Why: one joint SentencePiece model, learnt on train alone, and a report of its coverage of each side: an
uncovered script, or words split into many pieces, cost more BLEU than most settings gain.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from seq2seq.common import acceptance, paths, processors, shard_folders, shards
from seq2seq.common.errors import Figure, QualityError, UserError
from seq2seq.common.progress import Progress, duration
from seq2seq.common.schema import NamedVersion, Params
from seq2seq.common.schema import Tokenize as Settings
from seq2seq.data import direction, encoding, profile, span_masking, words
from seq2seq.data.corpus import count_pairs, read_split
from seq2seq.data.direction import SIDES
from seq2seq.data.encoding import MOST_WORDS, Counts, Encoder
from seq2seq.data.placeholders import SYMBOLS
from seq2seq.data.span_masking import SpanMasker
from seq2seq.data.tokens import TokenWriter
from seq2seq.data.vocabulary import (
    FILE,
    PARENT_WORDS_FILE,
    TARGET_FILE,
    WORDS_FILE,
    Vocabulary,
    learn,
    normalizer,
    with_rule,
)

LEXICON_PAIRS = 50_000  # of train, at most, from which translations of words are learnt


def tokenize(params: Params) -> None:
    """Learn the vocabulary on train, report its coverage of all splits, encode train and validation."""
    began = time.monotonic()
    limits = acceptance.Limits("tokenize", paths.TOKENIZE_ACCEPTED)
    settings = params.tokenize
    source = settings.vocabulary_from
    files, size = _take_over(source, settings.masked_share) if source else _learn(settings)
    paths.VOCABULARY.mkdir(parents=True, exist_ok=True)
    for name in (TARGET_FILE, PARENT_WORDS_FILE):  # of an earlier call without DVC
        (paths.VOCABULARY / name).unlink(missing_ok=True)
    for name, model in files.items():
        (paths.VOCABULARY / name).write_bytes(model)
    direction.write(paths.VOCABULARY, direction.read(paths.CORPUS))
    if source is None and size != settings.vocabulary_size:
        print(
            f"tokenize: {settings.vocabulary_size:,} pieces are set, this corpus gives {size:,}: "
            "the nearest feasible size"
        )
    learnt = time.monotonic()
    origin = f"taken over from {source}" if source else f"({settings.algorithm}) learnt"
    print(f"tokenize: {size:,} pieces {origin} in {duration(learnt - began)}", flush=True)

    others = {split: profile.words_of(paths.CORPUS, split) for split in paths.SPLITS if split != "train"}
    looked_for = {
        side: frozenset(word for found in others.values() for word in found[side]) for side in SIDES
    }
    counts = _encode(params, looked_for)
    coverage = {split: _coverage(counts[split]) for split in paths.SPLITS}
    if len(seen := counts["train"].words) <= MOST_WORDS:
        text = "".join(f"{word}\n" for word in sorted(seen))
        (paths.VOCABULARY / WORDS_FILE).write_text(text, encoding="utf-8")
    paths.COVERAGE.parent.mkdir(parents=True, exist_ok=True)
    report = {"vocabulary_size": size, "coverage": coverage}
    paths.COVERAGE.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    encoded = time.monotonic()
    train = coverage["train"]
    print(
        "tokenize: pieces per word "
        + ", ".join(
            f"{side} {train[side]['pieces_per_word']:.2f}"
            + f" (per {words.CHARACTER})" * (train[side]["unit"] == words.CHARACTER)
            for side in train
        )
        + "; characters spelt in bytes "
        + ", ".join(f"{side} {100 * train[side]['characters_in_bytes']:.2g} %" for side in train)
        + f"; encoded in {duration(encoded - learnt)}"
    )
    if lost := int(train["target"]["rewritten"]):
        print(
            f"tokenize: {lost:,} target sentences of train contain characters that "
            f"tokenize.target_normalization ({settings.target_normalization}) rewrites: no translation can "
            "contain them; identity keeps them"
        )
    unseen = {side: looked_for[side] - counts["train"].found[side] for side in SIDES}
    sides = direction.read(paths.CORPUS)
    found = profile.of_counts(counts["train"].sources, sides, coverage, others, unseen)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    paths.PROFILE.write_text(text + "\n", encoding="utf-8")
    for failure in beyond_limits(settings, coverage, found):
        limits.exceeded(failure)
    limits.write()
    shard_folders.end("tokenize")


def beyond_limits(
    settings: Settings, coverage: Mapping[str, Any], found: profile.Profile
) -> Iterator[QualityError]:
    """The limits that the vocabulary or the languages of the corpus exceed."""
    for side, one in coverage["validation"].items():
        covered = 1 - one["characters_in_bytes"]
        if settings.min_coverage is not None and covered < settings.min_coverage:
            key, wanted = "tokenize.min_coverage", f"at least {settings.min_coverage:.1%}"
            name = f"the share of validation's characters with a piece ({side})"
            remedy = "is validation of another language or script than train? Or raise character_coverage"
            yield QualityError(Figure(name, f"{covered:.1%}", wanted, key, remedy))
    for side in coverage["validation"]:
        share, least = profile.language_share(found, side), settings.min_language_share
        if least is not None and share is not None and share < least:
            name = f"the share of train's sampled texts in the language of the {side}"
            remedy = f"are the columns or files swapped? The languages found are in {paths.PROFILE}"
            key, wanted = "tokenize.min_language_share", f"at least {least:.0%}"
            yield QualityError(Figure(name, f"{share:.0%}", wanted, key, remedy))


def _learn(settings: Settings) -> tuple[dict[str, bytes], int]:
    """The model files by name, two if the sides' normalisation differs, and the vocabulary's size."""
    source, target = settings.source_normalization, settings.target_normalization
    model, size = learn(
        _sample(settings),
        algorithm=settings.algorithm,
        size=settings.vocabulary_size,
        character_coverage=settings.character_coverage,
        normalization=source if source == target else "identity",
        symbols=SYMBOLS if settings.masked_share else (),
    )
    if source == target:
        return {FILE: model}, size
    return {FILE: with_rule(model, source), TARGET_FILE: with_rule(model, target)}, size


def _take_over(source: NamedVersion, masked_share: float) -> tuple[dict[str, bytes], int]:
    """The model files of a registered version by name, with its words, and the vocabulary's size."""
    from seq2seq.nn import model_files
    from seq2seq.training import registered

    key = "tokenize.vocabulary_from"
    remedy = (
        f"`seq2seq use --set {key}=models:/{source.model}@champion` names another version, "
        f"`--set {key}=null --set train.start_from=null` learns a vocabulary"
    )
    folder = registered.find(key, source.model, source.version, source.digest, remedy)
    registered.check_languages(key, source.model, source.version, folder, paths.CORPUS, remedy)
    files = model_files.vocabulary_bytes(folder)
    if (folder / WORDS_FILE).is_file():
        files[PARENT_WORDS_FILE] = (folder / WORDS_FILE).read_bytes()
    vocabulary = Vocabulary.load(folder)
    if bool(masked_share) != bool(vocabulary.symbols):
        has = "has" if vocabulary.symbols else "has no"
        needed = "a share above 0, e.g. 0.1, keeps what it has learnt" if vocabulary.symbols else "set 0.0"
        raise UserError(
            f"tokenize.masked_share: {masked_share}, but the vocabulary of {source} {has} symbols for masked "
            f"spans: {needed}"
        )
    return files, vocabulary.size


def _sample(settings: Settings) -> list[str]:
    """Sentences of both sides of train, in order: all of them, or an even sample.

    If the sides' normalisation differs, sentences are normalised here, since the trainer has one rule.
    """
    total = 2 * count_pairs(paths.CORPUS, "train")
    if total == 0:
        raise UserError("tokenize: the train split is empty; see reports/cleaning.json for the reasons")
    rules = (settings.source_normalization, settings.target_normalization)
    of_source, of_target = map(normalizer, rules if rules[0] != rules[1] else ("identity", "identity"))
    sentences = chain.from_iterable(
        (of_source(p.source), of_target(p.target)) for p in read_split(paths.CORPUS, "train")
    )
    if total <= settings.training_sentences:
        return list(sentences)
    chosen = set(random.Random(settings.seed).sample(range(total), settings.training_sentences))
    return [sentence for index, sentence in enumerate(sentences) if index in chosen]


def _encode(params: Params, looked_for: Mapping[str, frozenset[str]]) -> dict[str, Counts]:
    """Write the ids of train and validation; returns what is counted of each split."""
    splits = {split: encoding.cut(split, count_pairs(paths.CORPUS, split)) for split in paths.SPLITS}
    work = shard_folders.begin("tokenize", _fingerprint(params))
    workers = min(shards.workers(), len(splits["train"]))
    threads = max(1, processors.available() // workers)
    encoder = Encoder(
        Vocabulary.load(paths.VOCABULARY),
        looked_for,
        paths.CORPUS,
        work,
        threads,
        _masker(params.tokenize, splits["train"][-1].stop),
    )
    left = {split: [rows for rows in cut if not rows.folder(work).is_dir()] for split, cut in splits.items()}
    total = sum(cut[-1].stop for cut in splits.values())
    done = total - sum(rows.stop - rows.start for cut in left.values() for rows in cut)
    if done:
        print(f"tokenize: continues a stopped run: {done:,} of {total:,} pairs are encoded")
    with (
        Progress("encode", "pairs", total, start=done) as progress,
        closing(shards.over(encoder, left.pop("train"))) as of_train,
    ):
        for count in chain(of_train, map(encoder, chain.from_iterable(left.values()))):
            progress.advance(count)
    counts = {}
    for split, cut in splits.items():
        if split == "test":  # which training does not use
            counts[split] = encoding.merged(cut, work)
        else:
            with TokenWriter(paths.TOKENS, split) as writer:
                counts[split] = encoding.merged(cut, work, writer)
    return counts


def _masker(settings: Settings, pairs: int) -> SpanMasker | None:
    """The masker of training pairs, with the translations of words from an even sample of them."""
    if not settings.masked_share:
        return None
    step = -(-pairs // LEXICON_PAIRS)
    sample = islice(read_split(paths.CORPUS, "train"), 0, None, step)
    lexicon = span_masking.learn_lexicon((pair.source, pair.target) for pair in sample)
    print(
        f"tokenize: spans of {settings.masked_share:.0%} of the training pairs are masked; "
        f"{len(lexicon):,} words have a translation that can be masked with them"
    )
    return SpanMasker(settings.masked_share, settings.seed, lexicon)


def _fingerprint(params: Params) -> str:
    """40 hex digits over all that the shards depend on: settings, code, corpus and vocabulary."""
    code = [Path(__file__), *sorted(Path(encoding.__file__).parent.glob("*.py"))]
    files = sorted(path for folder in (paths.CORPUS, paths.VOCABULARY) for path in folder.iterdir())
    settings = [params.tokenize.model_dump(), encoding.ROWS]
    return shard_folders.fingerprint(settings, ("sentencepiece",), (*code, *files))


def _coverage(counts: Counts) -> dict[str, dict[str, Any]]:
    """How the vocabulary covers each side of a split."""
    return {
        side: {
            # If most texts have no spaces between words, characters are counted as words.
            "unit": words.CHARACTER if 2 * tally["unspaced"] > tally["texts"] else words.WORD,
            "pieces_per_word": round(tally["pieces"] / max(tally["words"], 1), 4),
            "characters_in_bytes": round(tally["in_bytes"] / max(tally["characters"], 1), 6),
            "round_trip_failures": tally["failures"],
            "rewritten": tally["rewritten"],  # sentences changed by the side's normalisation
        }
        for side, tally in counts.tallies.items()
    }
