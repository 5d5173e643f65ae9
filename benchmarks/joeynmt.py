"""JoeyNMT as a contestant, run by its own interpreter: `python -m benchmarks.joeynmt '{"task": ...}'`.

Why: its own training loop and its own search are timed. Training is `TrainManager.train_and_validate` with a
data loader that waits for each turn: between two waits it reads a batch and does a whole update.

Kreutzer et al. 2019, "Joey NMT: A Minimalist NMT Toolkit for Novices".
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from joeynmt.config import parse_global_args
from joeynmt.prediction import prepare
from joeynmt.search import search
from joeynmt.training import TrainManager

from benchmarks import setting
from benchmarks.turns import Turns

NEVER = 10**9  # updates
SPLITS = {"train": "train", "dev": "validation", "test": "test"}  # theirs, ours


def configuration(data: Path) -> dict[str, Any]:
    """The common setting as JoeyNMT's configuration."""
    side = {
        "level": "bpe",
        "tokenizer_type": "sentencepiece",
        "tokenizer_cfg": {"model_file": str(data / "vocabulary.model")},
        "voc_file": str(data / "pieces.txt"),
    }
    recurrent = {
        "type": "recurrent",
        "rnn_type": "lstm",
        "embeddings": {"embedding_dim": setting.EMBEDDING},
        "hidden_size": setting.UNITS,
        "num_layers": 1,
        "dropout": setting.DROPOUT,  # of the embeddings too
    }
    return {
        "name": "benchmark",
        "model_dir": str(data / "model"),
        "use_cuda": False,
        "random_seed": setting.SEED,
        "data": {
            **{split: str(data / name) for split, name in SPLITS.items()},
            "src": {"lang": "source", **side},
            "trg": {"lang": "target", **side},
        },
        "training": {
            "optimizer": "adam",
            "learning_rate": setting.LEARNING_RATE,
            "scheduling": "exponential",
            "decrease_factor": 1.0,  # constant
            "clip_grad_norm": setting.CLIP_NORM,
            "label_smoothing": setting.SMOOTHING,
            "normalization": "tokens",
            "batch_size": setting.SENTENCES,
            "batch_type": "sentence",
            "epochs": NEVER,
            "logging_freq": 1,
            "validation_freq": NEVER,
        },
        "testing": {"beam_size": setting.BEAM, "batch_size": setting.TOGETHER},
        "model": {
            "tied_embeddings": False,
            "tied_softmax": False,
            "encoder": {**recurrent, "bidirectional": True},
            "decoder": {
                **recurrent,
                "attention": "bahdanau",
                "input_feeding": True,
                "hidden_dropout": setting.DROPOUT,
                "init_hidden": "bridge",
            },
        },
    }


class InTurns:
    """A data loader that waits for a turn before each batch, and reports its update."""

    def __init__(self, loader: Any, turns: Turns) -> None:
        self.batch_sampler = loader.batch_sampler
        self._loader, self._turns = loader, turns

    def __iter__(self) -> Iterator[Any]:
        batches = chain.from_iterable(repeat(self._loader))
        while self._turns.wait():
            batch = next(batches)
            yield batch
            self._turns.answer(batch.ntokens)
        os._exit(0)  # else the training loop would save a checkpoint


def train(args: Any, turns: Turns) -> None:
    """Run updates on request."""
    model, training, validation, _ = prepare(args, rank=0, mode="train")
    trainer = TrainManager(
        rank=0,
        model=model,
        model_dir=args.model_dir,
        device=args.device,
        autocast=args.autocast,
        seed=args.seed,
        train_args=args.train,
        dev_args=args.test,
    )
    make_iter = training.make_iter
    training.make_iter = lambda **options: InTurns(make_iter(**options), turns)
    turns.ready(parameters(model))
    trainer.train_and_validate(training, validation)


def decode(args: Any, turns: Turns) -> None:
    """Decode on request, with all hypotheses forced to one length."""
    model, _, _, test = prepare(args, rank=0, mode="train")
    model.eval()
    together, one_by_one = (endless(test, model, size) for size in (args.test.batch_size, 1))
    turns.ready(parameters(model))
    while kind := turns.wait():
        if kind == "singles":
            each = []
            for _ in range(setting.SINGLES):
                began = time.perf_counter()
                translate(model, one_by_one, args)
                each.append(time.perf_counter() - began)
            turns.answer(len(each), each)
        else:
            turns.answer(translate(model, together, args))


def endless(dataset: Any, model: Any, sentences: int) -> Iterator[Any]:
    """Its batches of so many sentences, repeated without end."""
    loader = dataset.make_iter(sentences, eos_index=model.eos_index, pad_index=model.pad_index)
    return chain.from_iterable(repeat(loader))


def translate(model: Any, batches: Iterator[Any], args: Any) -> int:
    """Search a batch as its `predict` does; returns the number of sentences."""
    batch = next(batches)
    batch.sort_by_src_length()
    found, _, _ = search(
        model,
        batch,
        beam_size=args.test.beam_size,
        beam_alpha=1.0,
        max_output_length=setting.FORCED,
        min_output_length=setting.FORCED,
        autocast=args.autocast,
    )
    assert found.shape == (batch.nseqs, setting.FORCED)
    return int(batch.nseqs)


def parameters(model: Any) -> int:
    """The number of parameters of a model."""
    return sum(p.numel() for p in model.parameters())


def main(order: dict[str, str]) -> None:
    """Run `task` on the files in the folder `data`."""
    turns = Turns()
    torch.manual_seed(setting.SEED)
    data = Path(order["data"])
    (data / "model").mkdir(exist_ok=True)
    args = parse_global_args(configuration(data), rank=0, mode="train")
    {"training": train, "decoding": decode}[order["task"]](args, turns)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
