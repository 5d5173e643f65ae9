"""What is no contest: the stages around training, and a pipeline with nothing to do.

Why: nobody should wait for what is not training. Each is held against a yardstick on the same machine:
what the work would take at least.
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
from benchmarks.turns import Watch
from seq2seq.common import params, paths
from seq2seq.data.corpus import count_pairs, read_split, write_split
from seq2seq.data.vocabulary import learn

PAIRS = 200_000  # synthetic ones to clean
# The whole graph in seconds.
TINY = ["ingest.train_size=400", "ingest.validation_size=40", "ingest.test_size=40", "train.updates=20"]

Measured = tuple[Result, Result]  # a stage, its yardstick


def cleaning(repeats: int, limit: float = QUIET) -> Measured:
    """Pairs a second of `clean`, and how much longer that takes than copying them."""
    folder = corpus.workspace("cleaning", "grammar", [f"ingest.train_size={PAIRS}"])
    if not (folder / paths.PROVENANCE).is_file():
        corpus.stage("ingest", folder)
    pairs = sum(count_pairs(folder / paths.RAW, split) for split in paths.SPLITS)

    def copy() -> None:
        for split in paths.SPLITS:
            write_split(folder / "copy", split, read_split(folder / paths.RAW, split))

    return measure(
        (f"clean, {pairs:,} pairs", lambda: corpus.stage("clean", folder), pairs),
        ("copying the pairs", copy),
        repeats,
        limit,
    )


def tokenising(folder: Path, repeats: int, limit: float = QUIET) -> Measured:
    """Sentences a second of `tokenize` (learning, encoding, decoding), against SentencePiece alone."""
    # In a folder of its own: killed halfway, it must not leave the contests half a corpus.
    room = corpus.FOLDER / "tokenising"
    shutil.rmtree(room, ignore_errors=True)
    shutil.copytree(folder / paths.CORPUS, room / paths.CORPUS)
    shutil.copyfile(folder / paths.PARAMS, room / paths.PARAMS)
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
        (f"tokenize, {2 * pairs:,} sentences", lambda: corpus.stage("tokenize", room), 2 * pairs),
        ("SentencePiece's training", sentencepiece),
        repeats,
        limit,
    )


def idling(repeats: int, limit: float = QUIET) -> Measured:
    """Seconds of a pipeline all of whose stages are fresh, against those of importing PyTorch."""
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
    yardstick: tuple[str, Callable[[], None]],
    repeats: int,
    limit: float,
) -> Measured:
    """Time both in turns: (name, work, units of it) against (name, work)."""
    name, work, units = subject
    steps: tuple[list[Step], list[Step]] = ([], [])
    for _ in range(repeats):
        steps[0].append(timed(work, units))
        steps[1].append(timed(yardstick[1], 1))
    return Result(name, 0, steps[0], limit), Result(yardstick[0], 0, steps[1], limit)


def timed(work: Callable[[], None], units: int) -> Step:
    """One step of it, here or in children that have ended by then."""
    watch = Watch()
    work()
    seconds, foreign = watch.read()
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
    params.apply(folder / paths.RECIPES / "tiny.yaml", TINY, folder / paths.PARAMS)
    identity = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "as it is"]):
        subprocess.run(["git", *identity, *command], cwd=folder, check=True)
    return folder


def run(folder: Path, *arguments: str) -> None:
    """Run this interpreter there, with no server or webhook of the user's; raises CalledProcessError."""
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
