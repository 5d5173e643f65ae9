"""tokenize: data/corpus -> data/vocabulary, data/tokens, reports/{tokenizer,profile}.json.

Why: one joint SentencePiece model, learnt on train alone, and a report of its coverage of each side: an
uncovered script, or words split into many pieces, cost more BLEU than most settings gain.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import chain, islice
from typing import Any

from seq2seq.common import acceptance, paths
from seq2seq.common.errors import Figure, QualityError, UserError
from seq2seq.common.progress import Progress, duration
from seq2seq.common.schema import Params
from seq2seq.common.schema import Tokenize as Settings
from seq2seq.data import direction, profile, words
from seq2seq.data.corpus import Pair, count_pairs, read_split
from seq2seq.data.tokens import TokenWriter
from seq2seq.data.vocabulary import (
    FILE,
    TARGET_FILE,
    WORDS_FILE,
    Side,
    Vocabulary,
    learn,
    normalizer,
    with_rule,
)

BATCH = 5_000  # pairs encoded together
MOST_WORDS = 200_000  # a longer list of source words is not stored: few words would be unknown


def tokenize(params: Params) -> None:
    """Learn the vocabulary on train, report its coverage of all splits, encode train and validation."""
    began = time.monotonic()
    limits = acceptance.Limits("tokenize", paths.TOKENIZE_ACCEPTED)
    settings = params.tokenize
    files, size = _learn(settings)
    paths.VOCABULARY.mkdir(parents=True, exist_ok=True)
    (paths.VOCABULARY / TARGET_FILE).unlink(missing_ok=True)  # of an earlier call without DVC
    for name, model in files.items():
        (paths.VOCABULARY / name).write_bytes(model)
    direction.write(paths.VOCABULARY, direction.read(paths.CORPUS))
    if size != settings.vocabulary_size:
        print(
            f"tokenize: {settings.vocabulary_size:,} pieces are set, this corpus gives {size:,}: "
            "the nearest feasible size"
        )
    learnt = time.monotonic()
    print(
        f"tokenize: {size:,} pieces ({settings.algorithm}) learnt in {duration(learnt - began)}",
        flush=True,
    )

    vocabulary = Vocabulary.load(paths.VOCABULARY)
    seen: set[str] = set()
    coverage = {s: _encode(s, vocabulary, seen if s == "train" else None) for s in paths.SPLITS}
    if len(seen) <= MOST_WORDS:
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
    found = profile.of_corpus(paths.CORPUS, direction.read(paths.CORPUS), coverage)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    paths.PROFILE.write_text(text + "\n", encoding="utf-8")
    print(f"tokenize: {paths.PROFILE} of {found['pairs']:,} pairs in {duration(time.monotonic() - encoded)}")
    for failure in beyond_limits(settings, coverage, found):
        limits.exceeded(failure)
    limits.write()


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
    )
    if source == target:
        return {FILE: model}, size
    return {FILE: with_rule(model, source), TARGET_FILE: with_rule(model, target)}, size


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


def _encode(split: str, vocabulary: Vocabulary, seen: set[str] | None) -> dict[Side, dict[str, Any]]:
    """Write the ids of train or validation; count the coverage of each side of any split."""
    tallies: dict[Side, Counter[str]] = {"source": Counter(), "target": Counter()}
    pairs = read_split(paths.CORPUS, split)
    progress = Progress(f"encode {split}", "pairs", count_pairs(paths.CORPUS, split))
    with progress, ExitStack() as stack:
        # Training does not use the test split.
        writer = stack.enter_context(TokenWriter(paths.TOKENS, split)) if split != "test" else None
        while batch := list(islice(pairs, BATCH)):
            for side, texts in _sides(batch).items():
                ids = vocabulary.encode_all(texts, side)
                if writer is not None:
                    writer.append(side, ids)
                tally = tallies[side]
                tally["pieces"] += sum(map(len, ids))
                tally["words"] += sum(map(words.length, texts))
                tally["texts"] += len(texts)
                tally["unspaced"] += sum(map(words.is_unspaced, texts))
                tally["characters"] += sum(len(text) - text.count(" ") for text in texts)
                tally["in_bytes"] += sum(map(vocabulary.characters_in_bytes, ids))
                tally["failures"] += sum(
                    vocabulary.normalise(text, side) != decoded
                    for text, decoded in zip(texts, vocabulary.decode_all(ids), strict=True)
                )
                tally["rewritten"] += sum(vocabulary.normalise(text, side) != text for text in texts)
                if seen is not None and side == "source" and len(seen) <= MOST_WORDS:
                    for text in texts:
                        seen.update(words.words(text))
            progress.advance(len(batch))
    return {
        side: {
            # If most texts have no spaces between words, characters are counted as words.
            "unit": words.CHARACTER if 2 * tally["unspaced"] > tally["texts"] else words.WORD,
            "pieces_per_word": round(tally["pieces"] / max(tally["words"], 1), 4),
            "characters_in_bytes": round(tally["in_bytes"] / max(tally["characters"], 1), 6),
            "round_trip_failures": tally["failures"],
            "rewritten": tally["rewritten"],  # sentences changed by the side's normalisation
        }
        for side, tally in tallies.items()
    }


def _sides(batch: list[Pair]) -> dict[Side, list[str]]:
    return {"source": [p.source for p in batch], "target": [p.target for p in batch]}
