"""Measures an exported folder beside the model that it was made of: BLEU, speed, first answer.

Why: rounding changes translations, so the exported files themselves are scored, by their own program in a
process of its own. For speed both systems translate the same batches in turn, at the same load.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seq2seq.common.errors import UserError
from seq2seq.data.corpus import Pair
from seq2seq.evaluation import scores
from seq2seq.export.package import PROGRAM
from seq2seq.export.translator import OnnxTranslator
from seq2seq.inference.translator import Translator

STARTS = 3  # processes whose first answer is timed
TIMED = 512  # sentences whose translation is timed, at most
BATCH = 64
SHOWN = 5  # differing translations in the record


def measure(
    folder: Path, model: Path, pairs: Sequence[Pair], tokenizer: str | None, threads: int
) -> dict[str, Any]:
    """The evaluation of export.json on pairs; `threads` of a product for both systems."""
    texts = [" ".join(pair.source.splitlines()) for pair in pairs]
    references = [pair.target for pair in pairs]
    translator, exported = Translator.from_folder(model), OnnxTranslator(folder, threads)
    beam = exported.settings.beam
    before = translator.translate(texts, precision="fp32", warn=False, divide=True, batch_size=BATCH)
    after = run(folder, texts, "--threads", str(threads))
    differing = [one for one in zip(texts, before, after, strict=True) if one[1] != one[2]]
    test = scores.paired_test(before, after, references, ("bleu",), tokenizer)["bleu"]
    return {
        "sentences": len(pairs),
        "bleu": scores.score("bleu", after, references, tokenizer),
        "bleu_of_the_model": scores.score("bleu", before, references, tokenizer),
        "difference": test.delta,
        "p": round(test.p, 4),
        "same_translations": len(pairs) - len(differing),
        "differing": [
            dict(zip(("source", "model", "exported"), one, strict=True)) for one in differing[:SHOWN]
        ],
        "threads": threads,
        "first_answer_seconds": round(first_answer(folder, texts[0], threads), 3),
        "speed": {str(size): _speed(translator, exported, texts[:TIMED], size) for size in sorted({1, beam})},
    }


def run(folder: Path, texts: Sequence[str], *options: str) -> list[str]:
    """The translations of texts by a folder's own program, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(folder.resolve() / PROGRAM), *options],
        input="".join(f"{text}\n" for text in texts),
        cwd=folder,
        env=_environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    lines = done.stdout.split("\n")[:-1]
    if done.returncode or len(lines) != len(texts):
        raise UserError(f"{folder / PROGRAM} failed: {done.stderr.strip()}")
    return lines


def _environment() -> dict[str, str]:
    """That of this process without its packages; Python leaves no byte code in the folder."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


def first_answer(folder: Path, text: str, threads: int) -> float:
    """The seconds from the start of a process to the translation of one text: the best of a few."""
    taken = []
    for _ in range(STARTS):
        began = time.monotonic()
        run(folder, [text], "--threads", str(threads))
        taken.append(time.monotonic() - began)
    return min(taken)


def _speed(translator: Translator, exported: OnnxTranslator, texts: Sequence[str], beam: int) -> Any:
    """Sentences a second of both systems with a beam, and the ratio."""
    systems: dict[str, Callable[[Sequence[str]], object]] = {
        "model": lambda some: translator.translate(some, beam, precision="fp32", warn=False, divide=True),
        "exported": lambda some: exported.translate(some, beam, divide=True),
    }
    order = sorted(texts, key=len)
    batches = [order[begin : begin + BATCH] for begin in range(0, len(order), BATCH)]
    taken = dict.fromkeys(systems, 0.0)
    for translate in systems.values():
        translate(batches[0])
    for batch in batches:
        for name, translate in systems.items():
            began = time.monotonic()
            translate(batch)
            taken[name] += time.monotonic() - began
    rates = {name: round(len(texts) / seconds, 1) for name, seconds in taken.items()}
    return {**rates, "ratio": round(taken["model"] / taken["exported"], 2)}
