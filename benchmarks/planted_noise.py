"""`python -m benchmarks.planted_noise CORPUS`: which planted faults `clean` finds in a corpus.

Why: the value of a filter is the share of a known fault that it finds, beside the clean pairs that it loses.
Ten kinds of faults are written into copies of pairs, `--each` of every kind. The table has the share of each
kind that every filter drops, the share of clean pairs lost, and the precision of all drops. With a scorer, a
second table has the share of each kind whose scores are below a threshold, for several thresholds.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from pathlib import Path

import numpy as np

from seq2seq.common import environment, params, recipes, schema
from seq2seq.common.device import choose_device
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.progress import Progress
from seq2seq.data import filters, formats, scores, tidying
from seq2seq.data.corpus import Pair, normalised
from seq2seq.data.direction import Direction, Side
from seq2seq.tracking import registry
from seq2seq.training.pair_scores import PairScorer

ROOT = Path(__file__).parents[1]
CLEAN = "clean"
PORTION = 2_000  # pairs scored between two lines of progress
LOST = (0.001, 0.005, 0.01, 0.02, 0.05)  # shares of the clean pairs that thresholds lose
Maker = Callable[[random.Random, Sequence[Pair], int], Pair | None]


def misaligned(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair:
    """The translation of the next sentence."""
    return Pair(pairs[at].source, pairs[(at + 1) % len(pairs)].target)


def other_language(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair:
    """One side in the language of the other, of another sentence."""
    other = pairs[rng.randrange(len(pairs))]
    if rng.random() < 0.5:
        return Pair(pairs[at].source, other.source)
    return Pair(other.target, pairs[at].target)


def untranslated(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair:
    """The source on both sides, of half of them with another mark at the end."""
    text = pairs[at].source
    return Pair(text, text if rng.random() < 0.5 else text.rstrip(".!?") + rng.choice("!?"))


def truncated(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair | None:
    """The first 30 to 60 % of the words of the target."""
    words = pairs[at].target.split()
    if len(words) < 5:
        return None
    return Pair(pairs[at].source, " ".join(words[: max(1, int(len(words) * rng.uniform(0.3, 0.6)))]))


def merged(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair:
    """The translations of two sentences for one."""
    return Pair(pairs[at].source, f"{pairs[at].target} {pairs[(at + 1) % len(pairs)].target}")


def wrong_number(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair:
    """Another number on the target side."""
    number = rng.randrange(10, 5000)
    source, target = (text.rstrip(".!?") for text in pairs[at][:2])
    return Pair(f"{source} ({number}).", f"{target} ({number + rng.randrange(1, 90)}).")


def mojibake(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair | None:
    """UTF-8 read as Windows-1252, on the sides that have letters beyond ASCII."""
    pair = pairs[at]
    if pair.source.isascii() and pair.target.isascii():
        return None
    sides = (text.encode().decode("cp1252", "replace") for text in pair[:2])
    return Pair(*sides)


def markup(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair:
    """A tag around a word, or an entity, on one side or on both."""

    def marked(text: str) -> str:
        words = text.split()
        place = rng.randrange(len(words))
        word = words[place]
        words[place] = rng.choice([f"<b>{word}</b>", f'<a href="x.html">{word}</a>', f"&quot;{word}&quot;"])
        return " ".join(words)

    source, target = pairs[at][:2]
    return Pair(marked(source) if rng.random() < 0.5 else source, marked(target))


def machine_garbage(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair:
    """A translation that loops, or letters at random."""
    source, target = pairs[at][:2]
    if rng.random() < 0.5:
        words = target.split()
        return Pair(source, " ".join([*words[:3], *words[1:3] * 5]))
    letters = "abcdefghijklmnopqrstuvwxyz0123456789#/=+"
    return Pair(source, " ".join("".join(rng.choices(letters, k=rng.randrange(3, 12))) for _ in range(8)))


def near_duplicate(rng: random.Random, pairs: Sequence[Pair], at: int) -> Pair:
    """A pair of the corpus with other capitals or marks."""
    source, target = (text.rstrip(".!?") for text in pairs[at][:2])
    return Pair(source.lower(), target.lower()) if rng.random() < 0.5 else Pair(source + " !", target + " !")


KINDS: tuple[Maker, ...] = (
    *(misaligned, other_language, untranslated, truncated, merged, wrong_number),
    *(mojibake, markup, machine_garbage, near_duplicate),
)


def plant(pairs: Sequence[Pair], each: int, seed: int) -> tuple[list[Pair], list[str]]:
    """The pairs with `each` faults of every kind between them, and the kind of each."""
    rng = random.Random(seed)
    noisy: list[tuple[Pair, str]] = [(pair, CLEAN) for pair in pairs]
    for make in KINDS:
        planted = 0
        while planted < each:
            if (pair := make(rng, pairs, rng.randrange(len(pairs)))) is not None:
                noisy.append((pair, make.__name__))
                planted += 1
    duplicates = [row for row in noisy if row[1] == near_duplicate.__name__]
    others = [row for row in noisy if row[1] != near_duplicate.__name__]
    rng.shuffle(others)
    noisy = others + duplicates  # of equal pairs the first is kept, and that is to be the clean one
    return [pair for pair, _ in noisy], [kind for _, kind in noisy]


def find(
    noisy: Sequence[Pair],
    kinds: Sequence[str],
    clean: schema.Clean,
    sides: Direction,
    improbable: Iterable[bool] = (),  # of each pair: its score is below the threshold
) -> dict[str, Counter[str]]:
    """The filters that drop the pairs of each kind; `repaired` where the pair is as it was before."""
    chosen = filters.Filters.measured(clean, sides, noisy)
    seen: set[int] = set()
    found: dict[str, Counter[str]] = {kind: Counter() for kind in (*(k.__name__ for k in KINDS), CLEAN)}
    low = chain(improbable, repeat(False))
    for pair, kind, drop in zip(noisy, kinds, low, strict=False):
        source, target = chosen.tidy(pair.source), chosen.tidy(pair.target)
        reason = chosen.reason(source, target) or (scores.REASON if drop else None)
        if reason is None:
            key = int(chosen.identities(normalised([Pair(source, target)]))[0])
            reason = "duplicate" if key in seen else None
            seen.add(key)
        if reason is None and kind in (mojibake.__name__, markup.__name__) and (source, target) != pair[:2]:
            reason = "repaired"
        found[kind][reason or "kept"] += 1
    return found


def table(found: dict[str, Counter[str]]) -> list[str]:
    """The result as a Markdown table; a clean pair that the corpus has twice is not lost."""
    lines = ["| fault | found | by |", "|---|---|---|"]
    for kind, reasons in found.items():
        total, kept = reasons.total(), reasons["kept"]
        by = ", ".join(f"{name} {n / total:.1%}" for name, n in reasons.most_common() if name != "kept")
        what = "lost of the clean pairs" if kind == CLEAN else kind.replace("_", " ")
        digits = 2 if kind == CLEAN else 1
        if kind == CLEAN:  # the corpus itself repeats some
            kept += reasons["duplicate"]
        lines.append(f"| {what} | {1 - kept / total:.{digits}%} | {by} |")
    dropped = sum(reasons.total() - reasons["kept"] for reasons in found.values()) - found[CLEAN]["duplicate"]
    wrong = found[CLEAN].total() - found[CLEAN]["kept"] - found[CLEAN]["duplicate"]
    lines.append(f"\nPrecision of all drops: {1 - wrong / max(1, dropped):.1%}")
    return lines


def score(folder: Path, noisy: Sequence[Pair], clean: schema.Clean) -> scores.Values:
    """The score of each tidied pair by the model of a folder."""
    scorer = PairScorer.from_folder(folder, choose_device("score"))
    found = []
    with Progress("score", "pairs", len(noisy)) as progress:
        for begin in range(0, len(noisy), PORTION):
            portion = noisy[begin : begin + PORTION]
            texts = zip(*(pair[:2] for pair in portion), strict=True)
            sides = ([tidying.tidied(text, clean) for text in side] for side in texts)
            found.append(scorer.score(*sides))
            progress.advance(len(portion))
    return np.concatenate(found)


def score_table(values: scores.Values, kinds: Sequence[str]) -> list[str]:
    """For thresholds that lose given shares of the clean pairs, the share of each kind below, in Markdown."""
    names = [name for name in (*(kind.__name__ for kind in KINDS), CLEAN) if name in kinds]
    of_kind = {name: values[np.array(kinds) == name] for name in names}
    clean = of_kind[CLEAN][~np.isnan(of_kind[CLEAN])]
    limits = [float(np.quantile(clean, lost)) for lost in LOST]
    rows = [["score below", *(f"{limit:.2f}" for limit in limits)], ["---"] * (len(LOST) + 1)]
    for kind, found in of_kind.items():
        title = "lost of the clean pairs" if kind == CLEAN else kind.replace("_", " ")
        rows.append([title, *(f"{np.mean(found < limit):.1%}" for limit in limits)])
    return [f"| {' | '.join(row)} |" for row in rows]


def settings(recipe: str, overrides: Sequence[str]) -> schema.Clean:
    """The `clean` section of a recipe with overrides."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(recipes.recipe_path(recipe, ROOT / "recipes"), folder))
        recipes.apply(None, overrides, copy)
        return params.load(copy).clean


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, look, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("corpus", type=Path, help="a file of clean pairs")
    parser.add_argument("--columns", nargs=2, default=["0", "1"], help="source and target: name or number")
    parser.add_argument("--languages", nargs=2, default=["de", "en"], help="BCP 47 tags of both sides")
    parser.add_argument("--recipe", default="local", help="whose `clean` section is used")
    parser.add_argument("--set", action="append", default=[], help="clean.key=value, instead of the recipe's")
    parser.add_argument("--each", type=int, default=500, help="faults of every kind")
    parser.add_argument("--out", type=Path, help="write the noisy corpus there as TSV too, with the kinds")
    parser.add_argument("--scorer", help="models:/NAME@ALIAS, models:/NAME/VERSION, or a model folder")
    parser.add_argument("--min-log-probability", type=float, help="of the scorer, for the first table")
    options = parser.parse_args(arguments)
    environment.configure_process()
    source, target = (int(name) if name.isdecimal() else name for name in options.columns)
    try:
        rows = formats.open_table(options.corpus, source, target).rows
        pairs = [row for row in rows if isinstance(row, Pair)]
        clean = settings(options.recipe, options.set)
        folder = options.scorer and Path(options.scorer)
        if folder and not folder.is_dir():
            folder = registry.download_model(options.scorer)
        noisy, kinds = plant(pairs, options.each, seed=1)
        values = score(folder, noisy, clean) if folder else np.empty(0, scores.SCORE)
    except (UserError, TransientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.out:
        with options.out.open("w", encoding="utf-8") as file:
            for pair, kind in zip(noisy, kinds, strict=True):
                print(kind, *pair[:2], sep="\t", file=file)
    sides = Direction(*(Side(language) for language in options.languages))
    least = scores.threshold(values, options.min_log_probability, None)
    found = find(noisy, kinds, clean, sides, (values < least).tolist())
    print(f"{len(pairs):,} clean pairs, {options.each} faults of each kind, recipe {options.recipe}")
    print("\n".join(table(found)))
    if folder:
        print("\nBy the score alone:\n")
        print("\n".join(score_table(values, kinds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
