"""`python -m benchmarks.filter_costs [FILE]`: the time that each step and each filter of `clean` takes.

Why: a filter that is on costs time for every pair of the corpus. Each is called alone on the same tidied
pairs, and the minimum of several rounds counts. Without a file the pairs are those of
benchmarks/corpus_large.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from benchmarks.corpus_large import corpus
from benchmarks.planted_noise import settings
from seq2seq.common import environment
from seq2seq.common.errors import UserError
from seq2seq.data import filters, formats, quality
from seq2seq.data.contamination_log import ContaminationLog
from seq2seq.data.corpus import Pair, normalised
from seq2seq.data.direction import Direction, Side

ROUNDS = 3
HELD_OUT = 1000  # pairs of each of two evaluation sets, which are no part of the pairs
# Settings with which a filter that is off by default is on.
ON: dict[str, object] = {
    "source_script": "Latin",
    "target_script": "Latin",
    "markup": "drop",
    "mojibake": "drop",
    "same_numbers": True,
    "same_addresses": True,
    "max_repetition": 2,
    "same_sentence_end": True,
    "same_case": True,
    "typical_length_ratio": 1.0,
    "drop_identical": True,
}


def measure(pairs: Sequence[Pair], sides: Direction, rounds: int = ROUNDS) -> dict[str, float]:
    """Microseconds of processor time a pair, by step."""
    params = settings("grammar", []).model_copy(update=ON)
    held_out = {"validation": list(pairs[:HELD_OUT]), "test": list(pairs[HELD_OUT : 2 * HELD_OUT])}
    rest = list(pairs[2 * HELD_OUT :])
    plain = filters.Filters(params.model_copy(update={"mojibake": "keep", "markup": "keep"}), sides)
    repairs = filters.Filters(params.model_copy(update={"mojibake": "repair", "markup": "repair"}), sides)
    folds = filters.Filters(params.model_copy(update={"fold_duplicates": True}), sides)
    tidied = [Pair(plain.tidy(pair.source), plain.tidy(pair.target)) for pair in rest]
    log = ContaminationLog(held_out, params.contamination_share)

    steps: dict[str, Callable[[], object]] = {
        "tidy": lambda: [plain.tidy(text) for pair in rest for text in pair[:2]],
        "tidy, with repairs": lambda: [repairs.tidy(text) for pair in rest for text in pair[:2]],
    }
    for one in filters.FILTERS:
        steps[one.__name__] = lambda one=one: [one(*pair[:2], params) for pair in tidied]  # type: ignore[misc]
    for name, side, place in zip(filters.LANGUAGES, sides, (0, 1), strict=True):
        if (wanted := quality.accepted(side)) is not None:
            texts = [pair[place] for pair in tidied]
            steps[name] = lambda texts=texts, wanted=wanted: quality.other_languages(texts, wanted, 0.9)  # type: ignore[misc]
    steps["contamination"] = lambda: log.blank().reasons(tidied, tidied, range(len(tidied)))
    steps["digest"] = lambda: plain.identities(normalised(tidied))
    steps["digest, folded"] = lambda: folds.identities(normalised(tidied))

    found: dict[str, float] = {}
    for _ in range(rounds):
        for name, step in steps.items():
            quality._is_bad.cache_clear()
            began = time.process_time()
            step()
            spent = 1e6 * (time.process_time() - began) / len(rest)
            found[name] = min(found.get(name, spent), spent)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("corpus", type=Path, nargs="?", help="a file of pairs; default: generated ones")
    parser.add_argument("--columns", nargs=2, default=["0", "1"], help="source and target: name or number")
    parser.add_argument("--languages", nargs=2, default=["de", "en"], help="BCP 47 tags of both sides")
    parser.add_argument("--pairs", type=int, default=20_000)
    options = parser.parse_args(arguments)
    environment.configure_process()
    count = options.pairs + 2 * HELD_OUT
    try:
        if options.corpus is None:
            pairs = [pair for block in corpus(count) for pair in block]
        else:
            source, target = (int(name) if name.isdecimal() else name for name in options.columns)
            rows = formats.open_table(options.corpus, source, target).rows
            pairs = list(islice((row for row in rows if isinstance(row, Pair)), count))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = measure(pairs, Direction(*(Side(language, "Latin") for language in options.languages)))
    letters = sum(len(pair.source) + len(pair.target) for pair in pairs) / max(1, len(pairs))
    print(
        f"{len(pairs) - 2 * HELD_OUT:,} pairs of {letters:.0f} characters, one process, minimum of {ROUNDS}"
    )
    print("\n| step | µs a pair |\n|---|---|")
    for name, spent in found.items():
        print(f"| {name} | {spent:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
