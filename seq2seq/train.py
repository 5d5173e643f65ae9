"""train: data/tokens, data/vocabulary -> model, reports/curve.csv, reports/run.json.

Why: several processes may train (training/trainer.py); one of them, the main rank, records the run and
writes the model folder.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import torch

from seq2seq.common import acceptance, memory, paths
from seq2seq.common.device import choose_device
from seq2seq.common.schema import Params
from seq2seq.data import direction
from seq2seq.data.vocabulary import FILE, TARGET_FILE, WORDS_FILE, Vocabulary
from seq2seq.nn import model_folder
from seq2seq.tracking import runs
from seq2seq.training import checkpoints, distributed, start
from seq2seq.training.trainer import Trainer

CURVE = ("update", "epoch", "training_loss", "validation_loss", "perplexity", "learning_rate")


def train(params: Params) -> None:
    """Train the model of params.train on the encoded corpus; resume if there is a checkpoint for it.

    SEQ2SEQ_PROCESSES sets the number of processes, each of which calls this function too.
    """
    if (count := distributed.processes()) > 1:
        distributed.launch(count, "-m", "seq2seq", "train")
        return
    with distributed.init() as group:
        train_rank(params, group)


def train_rank(params: Params, group: distributed.ProcessGroup) -> None:
    """Train as one rank of `group`; the main rank records the run and saves the model."""
    settings = params.train
    key = checkpoints.of_training(settings)
    limits = acceptance.Limits("train", paths.TRAIN_ACCEPTED)
    vocabulary = Vocabulary.load(paths.VOCABULARY)
    device = choose_device("train")
    memory.keep_freed_memory()
    store = checkpoints.Checkpoints(key)
    torch.manual_seed(settings.seed)
    trainer = Trainer(settings, vocabulary.size, device, store, group=group, exceeded=limits.exceeded)
    group.check_equal("parameters, code or data", key)
    if settings.start_from and trainer.state.update == 0:  # a checkpoint has later weights
        start.load(trainer.model, settings.start_from)
    if not group.is_main:
        trainer.fit(None)
        return
    with runs.training_run(params, key, resumed=trainer.checkpoints.exists()) as run:
        run.set_tags({"device": str(device)})
        try:
            trainer.fit(run)
        finally:
            store.finish()
        save(trainer, vocabulary)
        limits.write()
        run.set_tags(acceptance.tags())
    # `evaluate` removes the last checkpoint, after DVC has committed the model.


def save(trainer: Trainer, vocabulary: Vocabulary) -> None:
    """Write the model folder with the best weights, and the curve."""
    for name, tensor in trainer.best.items():
        trainer.parameters[name].data.copy_(tensor)
    model_folder.save(trainer.model, paths.MODEL)
    for name in (FILE, TARGET_FILE, WORDS_FILE, direction.FILE):
        (paths.MODEL / name).unlink(missing_ok=True)  # of an earlier training without DVC
        if (paths.VOCABULARY / name).is_file():
            shutil.copyfile(paths.VOCABULARY / name, paths.MODEL / name)
    if trainer.settings.start_from:
        start.add_words(paths.VOCABULARY, paths.MODEL)
    write_curve(trainer.state.curve, paths.CURVE)


def write_curve(points: list[dict[str, float]], path: Path) -> None:
    """Write the curve as CSV, one validation a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CURVE, lineterminator="\n")
        writer.writeheader()
        writer.writerows(points)
