"""Benchmarks of the stages around training, and of a pipeline with nothing to do.

Why: these should take little time beside training. Each is compared with a baseline on the same machine:
the minimum time of its work.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import corpus
from benchmarks.contest import QUIET, Result, Step
from benchmarks.turns import Stopwatch
from seq2seq.common import params, paths, recipes
from seq2seq.data.corpus import count_pairs, read_split, write_split
from seq2seq.data.vocabulary import learn

PAIRS = 200_000  # synthetic ones to clean
# The whole graph in seconds.
TINY = ["ingest.train_size=400", "ingest.validation_size=40", "ingest.test_size=40", "train.updates=20"]

Measured = tuple[Result, Result]  # a stage, its baseline


def cleaning(repeats: int, limit: float = QUIET) -> Measured:
    """Pairs a second of `clean`, against copying them."""
    folder = corpus.workspace("cleaning", "grammar", [f"ingest.train_size={PAIRS}"])
    if not (folder / paths.PROVENANCE).is_file():
        for name in ("ingest", "mix", "score"):
            corpus.stage(name, folder)
    raw = folder / paths.RAW / corpus.source(folder)
    pairs = sum(count_pairs(raw, split) for split in paths.SPLITS)

    def copy() -> None:
        for split in paths.SPLITS:
            write_split(folder / "copy", split, read_split(raw, split))

    return measure(
        (f"clean, {pairs:,} pairs", lambda: corpus.stage("clean", folder), pairs),
        ("copying the pairs", copy),
        repeats,
        limit,
    )


def tokenising(folder: Path, repeats: int, limit: float = QUIET) -> Measured:
    """Sentences a second of `tokenize` (learning, encoding, decoding), against SentencePiece alone."""
    # In a folder of its own: a kill must not leave an incomplete corpus for the contests.
    copy = corpus.FOLDER / "tokenising"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / paths.CORPUS, copy / paths.CORPUS)
    shutil.copyfile(folder / paths.PARAMS, copy / paths.PARAMS)
    settings = params.load(folder / paths.PARAMS).tokenize
    pairs = sum(count_pairs(folder / paths.CORPUS, split) for split in paths.SPLITS)

    def sentencepiece() -> None:
        sentences = [text for pair in read_split(folder / paths.CORPUS, "train") for text in pair[:2]]
        learn(
            sentences,
            algorithm=settings.algorithm,
            size=settings.vocabulary_size,
            character_coverage=settings.character_coverage,
            normalization=settings.source_normalization,
        )

    return measure(
        (f"tokenize, {2 * pairs:,} sentences", lambda: corpus.stage("tokenize", copy), 2 * pairs),
        ("SentencePiece's training", sentencepiece),
        repeats,
        limit,
    )


def idling(repeats: int, limit: float = QUIET) -> Measured:
    """Seconds of a pipeline without stale stages, against importing PyTorch."""
    folder = project()

    def pipeline() -> None:
        run(folder, "-m", "flows", "run")

    pipeline()
    return measure(
        ("make run, nothing to do", pipeline, 1),
        ("importing torch", lambda: run(folder, "-c", "import torch")),
        repeats,
        limit,
    )


def measure(
    subject: tuple[str, Callable[[], None], int],
    baseline: tuple[str, Callable[[], None]],
    repeats: int,
    limit: float,
) -> Measured:
    """Time both alternately: (name, work, its units) against (name, work)."""
    name, work, units = subject
    steps: tuple[list[Step], list[Step]] = ([], [])
    for _ in range(repeats):
        steps[0].append(timed(work, units))
        steps[1].append(timed(baseline[1], 1))
    return Result(name, 0, steps[0], limit), Result(baseline[0], 0, steps[1], limit)


def timed(work: Callable[[], None], units: int) -> Step:
    """One step of work, in this process or in children that end within it."""
    stopwatch = Stopwatch()
    work()
    seconds, foreign = stopwatch.read()
    return Step(units, seconds, foreign, [], 0)


def project() -> Path:
    """A copy of this project with a small graph, and a git history of its own."""
    folder = corpus.FOLDER / "project"
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=corpus.ROOT, check=True, text=True, capture_output=True
    )
    for name in listed.stdout.split("\0")[:-1]:
        if (source := corpus.ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
    recipes.apply(folder / paths.RECIPES / "tiny.yaml", TINY, folder / paths.PARAMS)
    identity = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "as it is"]):
        subprocess.run(["git", *identity, *command], cwd=folder, check=True)
    return folder


def run(folder: Path, *arguments: str) -> None:
    """Run this interpreter in a folder, without the user's servers and webhook; raises CalledProcessError."""
    users = ("PREFECT_", "MLFLOW_", "ALERT_WEBHOOK")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(users)}
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=kept,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
