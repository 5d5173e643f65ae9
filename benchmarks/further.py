"""`python -m benchmarks.further MODEL`: training a version further with new words, and the effect on the old.

Why: an application meets words that its model has not learnt. The grammar of the recipe gets nouns that are
new; a version of that recipe is trained further on sentences with them (`words`), and on those mixed with
sentences that it has learnt already (`mixed`), for a part of its updates; a model from random weights learns
from all sentences with the updates of the recipe (`scratch`). BLEU of the version and of each model is
measured on the old test set and on new sentences with new words, with the p-value of the paired test.

Each training runs the stages in a copy of the code below .cache/further, and is skipped if its result is
there. The copies use a copy of this project's registry.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.noise_effect import project, stage, write_splits
from seq2seq.common import environment, paths, sqlite
from seq2seq.common.errors import UserError
from seq2seq.data.corpus import Pair, count_pairs, read_split
from seq2seq.data.grammar import Grammar

FOLDER = Path(".cache/further")
GRAMMAR = Path("corpora/grammar-de-en.yaml")
# Nouns that the grammar lacks, each after one of its class: gender, plural, weak forms as there.
WORDS = {
    "Ingenieur": [
        "Pilot: {gender: m, pl: Piloten, oblique: Piloten, dative: Piloten, en: pilot}",
        "Richterin: {gender: f, pl: Richterinnen, dative: Richterinnen, en: judge}",
        'Gärtner: {gender: m, pl: Gärtner, en: gardener, owned: "no"}',
        'Schauspieler: {gender: m, pl: Schauspieler, en: actor, owned: "no"}',
        "Krankenschwester: {gender: f, pl: Krankenschwestern, dative: Krankenschwestern, en: nurse}",
    ],
    "Kuh": [
        "Esel: {gender: m, pl: Esel, en: donkey}",
        "Ziege: {gender: f, pl: Ziegen, dative: Ziegen, en: goat}",
        'Fuchs: {gender: m, pl: Füchse, en: fox, many: foxes, owned: "no"}',
    ],
    "Torte": [
        "Birne: {gender: f, pl: Birnen, dative: Birnen, en: pear}",
        "Pflaume: {gender: f, pl: Pflaumen, dative: Pflaumen, en: plum}",
    ],
    "Hut": [
        "Handschuh: {gender: m, pl: Handschuhe, en: glove}",
        "Kleid: {gender: n, pl: Kleider, en: dress, many: dresses}",
    ],
    "Koffer": [
        "Schere: {gender: f, pl: Scheren, dative: Scheren, en: pair of scissors, many: pairs of scissors}",
        "Eimer: {gender: m, pl: Eimer, en: bucket}",
    ],
    "Traktor": ["Lastwagen: {gender: m, pl: Lastwagen, dative: Lastwagen, en: lorry, many: lorries}"],
    "Tulpe": ["Nelke: {gender: f, pl: Nelken, dative: Nelken, en: carnation}"],
}
OLD, NEW = SETS = ("old", "new")
WORDS_ALONE, MIXED, SCRATCH = ARMS = ("words", "mixed", "scratch")
FURTHER = ["train.updates=400", "train.learning_rate=0.001", "train.warmup_updates=50"]
FURTHER += ["train.validate_every=100"]
TESTED, VALIDATED = 500, 200  # new pairs
LONGEST = 20  # words of a source, as in the grammar's own train split


def with_words(grammar: str) -> str:
    """The text of a grammar with the new nouns."""
    for anchor, nouns in WORDS.items():
        line = next(text for text in grammar.splitlines() if text.startswith(f"        {anchor}: {{"))
        grammar = grammar.replace(line, "\n".join([line, *(f"        {noun}" for noun in nouns)]), 1)
    return grammar


def new_pairs(old: Sequence[Pair], count: int, place: Path) -> list[Pair]:
    """So many different pairs with a word that no old source has."""
    place.write_text(with_words(GRAMMAR.read_text(encoding="utf-8")), encoding="utf-8")
    grammar, draw = Grammar.load(place), random.Random(7)
    known = {word for pair in old for word in _words(pair.source)}
    found: dict[str, Pair] = {}
    while len(found) < count:
        source, target, _ = grammar.sample(draw)
        words = _words(source)
        if len(words) <= LONGEST and not known.issuperset(words):
            found.setdefault(source, Pair(source, target))
    return list(found.values())


def _words(text: str) -> list[str]:
    return [word.strip(".,?").casefold() for word in text.split()]


def corpora(size: int, rehearsed: int) -> dict[str, dict[str, list[Pair]]]:
    """The pairs of each source by split: the old ones of this project, some of them, and the new ones."""
    old = {name: list(read_split(paths.CORPUS, name)) for name in paths.SPLITS}
    new = new_pairs(old["train"], size + TESTED + VALIDATED, FOLDER / "grammar.yaml")
    tested, validated, train = new[:TESTED], new[TESTED : TESTED + VALIDATED], new[TESTED + VALIDATED :]
    some = random.Random(8).sample(old["train"], rehearsed)
    return {
        "all": old,
        "some": old | {"train": some},
        "words": {"train": train, "validation": validated, "test": tested},
    }


def train(arm: str, model: str, overrides: Sequence[str]) -> tuple[Path, float]:
    """The model folder of an arm, and the seconds that its stage `train` took."""
    folder = FOLDER.absolute() / arm
    stored = folder / "seconds"
    if not stored.is_file():
        named = {WORDS_ALONE: ["words"], MIXED: ["some", "words"], SCRATCH: ["all", "words"]}[arm]
        values = ["ingest.sources.grammar=null", "register.name=further"]
        for name in named:
            values.append(f"ingest.sources.{name}={FOLDER.absolute() / 'corpora' / name}")
            values += [f"ingest.sources.{name}.licence=Apache-2.0"]
            values += [f"ingest.sources.{name}.source_language=de"]
            values += [f"ingest.sources.{name}.target_language=en"]
        project(folder, "grammar", values + (FURTHER if arm != SCRATCH else []))
        given = [*([f"train.start_from={model}"] if arm != SCRATCH else []), *overrides]
        if given:
            stage(folder, "use", *(word for value in given for word in ("--set", value)))
        for name in ("ingest", "mix", "score", "clean", "tokenize"):
            stage(folder, name)
        began = time.monotonic()
        stage(folder, "train")
        stored.write_text(str(time.monotonic() - began), encoding="utf-8")
    return folder / paths.MODEL, float(stored.read_text(encoding="utf-8"))


def measure(folders: Mapping[str, Path], sets: Mapping[str, Sequence[Pair]]) -> list[str]:
    """BLEU of each model on each set, with the difference from the first one and its p, as a table."""
    from seq2seq.common import params
    from seq2seq.evaluation import scores
    from seq2seq.inference.decoding import Decoding
    from seq2seq.inference.translator import Translator

    how = params.load().evaluate
    decoding = Decoding(how.beam, how.length_penalty, how.max_length, how.precision, how.split_sentences)
    found: dict[str, dict[str, list[str]]] = {}
    for arm, folder in folders.items():
        translator = Translator.from_folder(folder)
        found[arm] = {
            name: translator.translate([pair.source for pair in pairs], *decoding, warn=False)
            for name, pairs in sets.items()
        }
    lines = ["| model | " + " | ".join(f"BLEU {name} | difference, p" for name in sets) + " |"]
    lines.append("|---|" + "---|---|" * len(sets))
    first = next(iter(found))
    for arm, translations in found.items():
        cells = []
        for name, pairs in sets.items():
            references = [pair.target for pair in pairs]
            cells.append(f"{scores.score('bleu', translations[name], references):.2f}")
            if arm == first:
                cells.append("")
                continue
            test = scores.paired_test(found[first][name], translations[name], references, ("bleu",))["bleu"]
            cells.append(f"{test.delta:+.2f}, {test.p:.4f}")
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the arms that have no result yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", help="models:/NAME@ALIAS or models:/NAME/VERSION, of the recipe grammar")
    parser.add_argument("--pairs", type=int, default=2000, help="new training pairs")
    parser.add_argument("--rehearsed", type=int, default=4000, help="old training pairs of the arm `mixed`")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--set", action="append", default=[], help="section.key=value, e.g. more updates")
    options = parser.parse_args(arguments)
    environment.configure_process()
    from seq2seq.tracking import registry

    try:
        folders = {"before": registry.download_model(options.model)}
        FOLDER.mkdir(parents=True, exist_ok=True)
        if not (FOLDER / "mlflow.db").is_file():
            sqlite.copy_database(Path("mlflow.db"), FOLDER / "mlflow.db")
        pairs = corpora(options.pairs, options.rehearsed)
        for name, splits in pairs.items():
            write_splits(FOLDER / "corpora" / name, splits)
        for arm in options.arms:
            folders[arm], seconds = train(arm, options.model, options.set)
            left = count_pairs(folders[arm].parent / paths.CORPUS, "train")
            print(f"{arm}: {left:,} training pairs, train took {seconds:.0f} s", flush=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sets = {OLD: pairs["all"]["test"], NEW: pairs["words"]["test"]}
    print("\n".join(measure(folders, sets)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
