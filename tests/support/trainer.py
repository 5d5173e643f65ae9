"""A small training of a few seconds: reversing short sentences."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seq2seq.common import params
from seq2seq.data.tokens import TokenWriter
from seq2seq.training.checkpoints import Checkpoints
from seq2seq.training.trainer import Trainer
from tests.support.projects import ROOT

SIZE = 40  # pieces
SETTINGS = params.load(ROOT / "params.yaml").train.model_copy(
    update={
        "embedding_size": 16,
        "hidden_size": 24,
        "attention_size": 16,
        "dropout": 0.2,
        "batch_tokens": 240,
        "updates": 60,
        "warmup_updates": 10,
        "learning_rate": 0.01,
        "validate_every": 20,
        "checkpoint_every": 7,
        "patience": 1000,
        "learns_within": None,
    }
)


class _Recorder:
    """Replaces an MLflow run; calls `plug` after each validation."""

    def __init__(self, plug=None) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []
        self.plug = plug

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        self.points.append((step, dict(values)))
        if self.plug:
            self.plug(step)


Recorder: Any = _Recorder  # `fit` takes a run


def trainer(tokens: Path, store: Path, **changes) -> Trainer:
    settings = SETTINGS.model_copy(update=changes)
    torch.manual_seed(settings.seed)
    return Trainer(settings, SIZE, torch.device("cpu"), Checkpoints("x" * 40, store), tokens)


def outcome(trained: Trainer):
    return trained.state.curve, {name: p.tolist() for name, p in trained.best.items()}


def write_tokens(folder: Path) -> None:
    """Sentences, with their reversals as translations."""
    random = np.random.default_rng(1)
    for split, count in (("train", 300), ("validation", 40)):
        sources = [random.integers(4, SIZE, random.integers(2, 8)).tolist() for _ in range(count)]
        with TokenWriter(folder, split) as writer:
            writer.append("source", sources)
            writer.append("target", [s[::-1] for s in sources])
