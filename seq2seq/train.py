"""train: data/tokens, data/vocabulary -> model, reports/curve.csv, reports/run.json.

Why: it ends after a number of updates, never by the clock, so that the same parameters give the same
model; it can be stopped at any update and goes on from there to the bit (on a CPU, in one process).
"""

from __future__ import annotations

import csv
import math
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seq2seq.common import paths
from seq2seq.common.device import choose_device, keep_freed_memory, wants_graphs
from seq2seq.common.errors import UserError
from seq2seq.common.params import Params
from seq2seq.common.params import Train as Settings
from seq2seq.common.progress import Progress, duration
from seq2seq.common.threads import Neighbours, keep_threads
from seq2seq.data import direction
from seq2seq.data.tokens import TokenSplit
from seq2seq.data.vocabulary import FILE, TARGET_FILE, WORDS_FILE, Vocabulary
from seq2seq.nn import model_folder
from seq2seq.nn.batches import Batch, Batches
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.nn.precision import choose_precision
from seq2seq.tracking import runs
from seq2seq.training import checkpoints, distributed, fast_loss
from seq2seq.training.cuda_graphs import Graphs
from seq2seq.training.loss import cross_entropy

FINAL_SHARE = 0.01  # of the peak learning rate, where the cosine ends
LOSS_CHECK = 20  # updates between looks at the loss: each look waits for the device
CURVE = ("update", "epoch", "training_loss", "validation_loss", "perplexity", "learning_rate")


def train(params: Params) -> None:
    """Train the model of params.train on the encoded corpus; resume if a checkpoint fits.

    In as many processes as SEQ2SEQ_PROCESSES says, each of which comes here too.
    """
    if (count := distributed.processes()) > 1:
        distributed.launch(count, "-m", "seq2seq", "train")
        return
    with distributed.join() as world:
        train_share(params, world)


def train_share(params: Params, world: distributed.World) -> None:
    """Train as one of the processes of `world`, the first of which keeps the record and the model."""
    settings = params.train
    key = checkpoints.fingerprint("train", settings.model_dump())
    vocabulary = Vocabulary.load(paths.VOCABULARY)
    device = choose_device("train")
    keep_freed_memory()
    torch.manual_seed(settings.seed)
    trainer = Trainer(settings, vocabulary.size, device, checkpoints.Checkpoints(key), world=world)
    world.agree("what is to be trained", key)
    if not world.first:
        trainer.fit(None)
        return
    with runs.training_run(params, key, resumed=trainer.checkpoints.exists()) as run:
        run.set_tag("device", str(device))
        trainer.fit(run)
        save(trainer, vocabulary)
    # The last checkpoint stays until DVC has committed the model: `evaluate` removes it.


def save(trainer: Trainer, vocabulary: Vocabulary) -> None:
    """Write the model folder with the best weights, and the curve."""
    for name, tensor in trainer.best.items():
        trainer.parameters[name].data.copy_(tensor)
    model_folder.save(trainer.model, paths.MODEL)
    for name in (FILE, TARGET_FILE, WORDS_FILE, direction.FILE):
        (paths.MODEL / name).unlink(missing_ok=True)  # of an earlier training by hand
        if (paths.VOCABULARY / name).is_file():
            shutil.copyfile(paths.VOCABULARY / name, paths.MODEL / name)
    write_curve(trainer.progress.curve, paths.CURVE)


def write_curve(points: list[dict[str, float]], path: Path) -> None:
    """The curve as CSV, one validation a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CURVE, lineterminator="\n")
        writer.writeheader()
        writer.writerows(points)


def learning_rate(update: int, settings: Settings) -> float:
    """The rate of an update (counted from 1): linear warm-up, then a cosine to 1 % of the peak."""
    if update <= settings.warmup_updates:
        return settings.learning_rate * update / settings.warmup_updates
    decay = max(settings.updates - settings.warmup_updates, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * (update - settings.warmup_updates) / decay))
    return settings.learning_rate * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)


@dataclass
class Standing:
    """Where a training stands: all of it that is not a tensor."""

    update: int = 0
    epoch: int = 0
    batch: int = 0  # of the epoch, next to be read
    loss: float = 0.0  # summed over `tokens` since the last validation
    tokens: int = 0
    best_loss: float = math.inf
    best_update: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    # What changes sums by rounding: it stays as it is when a training goes on, on the same type of device.
    device: str | None = None  # its type
    threads: int | None = None
    bf16: str | None = None  # native or emulated


class Trainer:
    """A model, its optimiser and where it stands; `fit` runs it to its end or until stopped."""

    def __init__(
        self,
        settings: Settings,
        vocabulary_size: int,
        device: torch.device,
        store: checkpoints.Checkpoints,
        tokens: Path = paths.TOKENS,
        world: distributed.World = distributed.ALONE,
    ) -> None:
        self.settings, self.device, self.checkpoints, self.world = settings, device, store, world
        self.model = Seq2Seq(
            Config(
                vocabulary_size=vocabulary_size,
                embedding_size=settings.embedding_size,
                hidden_size=settings.hidden_size,
                attention_size=settings.attention_size,
                layers=settings.layers,
                attention=settings.attention,
                dropout=settings.dropout,
                tie_embeddings=settings.tie_embeddings,
                layer_norm=settings.layer_norm,
            )
        ).to(device)
        self.parameters = dict(self.model.named_parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=0.0,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self._saved = self._load()
        self.progress = Standing(**self._saved[1]) if self._saved else Standing()
        self._is_same_device = self.progress.device == device.type
        bf16 = self.progress.bf16 if self._is_same_device else None
        self.precision = choose_precision(settings.precision, device, bf16)
        self._graphs: Graphs | None = None
        if wants_graphs(device):
            self._graphs = Graphs(self.model, settings.label_smoothing, self.precision)
        limits = (settings.batch_tokens, settings.max_tokens, settings.seed)
        self.training = Batches(TokenSplit(tokens, "train"), *limits, world.share)
        self.validation = Batches(TokenSplit(tokens, "validation"), *limits, world.share)
        for name, batches in (("train", self.training), ("validation", self.validation)):
            if not batches.pairs:
                raise UserError(
                    f"train.max_tokens: no {name} pair has 1 to {settings.max_tokens} tokens a side"
                )
        self.best: dict[str, Tensor] = {}
        # In double precision and never emptied between validations, so that stopping changes no sum.
        self._loss = torch.zeros((), dtype=torch.float64, device=device)

    def fit(self, run: runs.Run | None) -> None:
        """Train until `updates` or `patience` is reached; raises KeyboardInterrupt when asked to stop.

        Validations are logged to `run`.

        Raises UserError when the loss is no number any more.
        """
        settings = self.settings
        self._announce()
        self._resume()
        standing = self.progress
        standing.device = self.device.type
        standing.threads, standing.bf16 = torch.get_num_threads(), self.precision.products
        self.world.begin(self.parameters.values(), settings.seed, standing.update)
        with (
            stop_requested() as stop,
            Progress("train", "updates", settings.updates, start=standing.update) as bar,
        ):
            speed, began, neighbours = 0, time.monotonic(), Neighbours()
            batches = self._batches()
            while not self.finished:
                batch = next(batches)
                self._update(batch)
                speed += batch.tokens
                rate = speed / (time.monotonic() - began)
                bar.advance(1, f"{rate:,.0f} target tokens/s, best perplexity {self._perplexity()}")
                if standing.update % LOSS_CHECK == 0:
                    self._check_loss()
                if self.device.type == "cpu" and (warning := neighbours.warning()):
                    bar.write(warning)
                if standing.update % settings.validate_every == 0 or self.finished:
                    point = self._validate()
                    if run is not None:
                        run.log_metrics({k: v for k, v in point.items() if k != "update"}, standing.update)
                    bar.write(describe(point, better=standing.best_update == standing.update))
                if self.world.any(stop.is_set()):
                    self._save_checkpoint()
                    bar.write(f"train: stopped at update {standing.update:,}; the next run goes on there")
                    raise KeyboardInterrupt
                if standing.update % settings.checkpoint_every == 0 or self.finished:
                    self._save_checkpoint()
        early = f", no better for {settings.patience:,} updates" if standing.update < settings.updates else ""
        print(
            f"train: {standing.update:,} updates ({standing.epoch + 1} epochs) in "
            f"{duration(time.monotonic() - began)}{early}; best perplexity {self._perplexity()} "
            f"at update {standing.best_update:,}, {rate_text(speed, began)}"
        )

    @property
    def finished(self) -> bool:
        """Whether the last update has been made."""
        stale = self.progress.update - self.progress.best_update
        return self.progress.update >= self.settings.updates or stale >= self.settings.patience

    def _announce(self) -> None:
        size = sum(p.numel() for p in self.parameters.values())
        skipped = self.training.skipped
        print(
            f"train: {size / 1e6:.1f} million parameters, attention {self.settings.attention}, "
            f"{self.training.pairs:,} pairs"
            + (f" ({skipped:,} longer than {self.settings.max_tokens} tokens left out)" if skipped else ""),
            flush=True,
        )

    def _batches(self) -> Iterator[Batch]:
        """Training batches from where the training stands, without end."""
        while True:
            for batch in self.training.epoch(self.progress.epoch, start=self.progress.batch):
                yield batch.to(self.device)
            self.progress.epoch += 1
            self.progress.batch = 0

    def _update(self, batch: Batch) -> None:
        standing = self.progress
        standing.update += 1
        standing.batch += 1
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(standing.update, self.settings)
        loss = self._gradients(batch)
        self.world.sum_([loss, *(p.grad for p in self.parameters.values() if p.grad is not None)])
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.clip_norm)
        self.optimizer.step()
        self._loss += loss
        standing.tokens += batch.tokens

    def _gradients(self, batch: Batch) -> Tensor:
        """The summed loss of a batch; leaves the gradients of the loss per token."""
        if self._graphs is not None:
            return self._graphs(batch)
        loss = fast_loss.summed_loss(self.model, batch, self.settings.label_smoothing, self.precision)
        self.optimizer.zero_grad(set_to_none=True)
        (loss / batch.tokens).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _check_loss(self) -> None:
        self.progress.loss = float(self._loss)
        if not math.isfinite(self.progress.loss):
            raise UserError(
                f"the loss is {self.progress.loss} near update {self.progress.update:,}: lower "
                f"train.learning_rate ({self.settings.learning_rate}) or train.clip_norm "
                f"({self.settings.clip_norm}), or raise train.warmup_updates"
            )

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Loss per token on validation; keeps the weights if they are the best so far."""
        self._check_loss()
        standing = self.progress
        self.model.eval()
        total, tokens = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for batch in self.validation.in_order():
            batch = batch.to(self.device)
            logits_BTV, _ = self.model(batch.source_BS, batch.source_lengths_B, batch.input_BT)
            total += cross_entropy(logits_BTV, batch.output_BT)
            tokens += batch.tokens
        self.world.sum_([total])
        validation_loss = float(total) / tokens
        if validation_loss < standing.best_loss:
            standing.best_loss, standing.best_update = validation_loss, standing.update
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        point = {
            "update": standing.update,
            "epoch": standing.epoch + 1,
            "training_loss": round(standing.loss / max(standing.tokens, 1), 5),
            "validation_loss": round(validation_loss, 5),
            "perplexity": round(math.exp(min(validation_loss, 50)), 4),
            "learning_rate": round(learning_rate(standing.update, self.settings), 8),
        }
        standing.curve.append(point)
        standing.loss, standing.tokens = 0.0, 0
        self._loss.zero_()
        return point

    def _perplexity(self) -> str:
        best = self.progress.best_loss
        return f"{math.exp(best):.2f}" if best < 50 else "-"

    def _save_checkpoint(self) -> None:
        self._check_loss()
        if not self.world.first:
            return
        tensors: dict[str, Tensor] = {f"model.{name}": p for name, p in self.parameters.items()}
        tensors |= {f"best.{name}": p for name, p in self.best.items()}
        for name, p in self.parameters.items():
            for key, value in self.optimizer.state[p].items():
                tensors[f"optimizer.{key}.{name}"] = value
        tensors["random"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        self.checkpoints.save(tensors, vars(self.progress))

    def _load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        # The first sets damaged checkpoints aside before the others look.
        saved = self.checkpoints.load() if self.world.first else None
        self.world.any(False)
        return saved if self.world.first else self.checkpoints.load()

    def _resume(self) -> None:
        if self._saved is None:
            return
        tensors, self._saved = self._saved[0], None
        self._loss.fill_(self.progress.loss)
        with torch.no_grad():
            for name, p in self.parameters.items():
                p.copy_(tensors[f"model.{name}"])
                if f"best.{name}" in tensors:
                    self.best[name] = tensors[f"best.{name}"].to(self.device)
        self.optimizer.load_state_dict(self._optimizer_state(tensors))
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors and self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
        if self._is_same_device and self.device.type == "cpu":
            keep_threads("train", self.progress.threads)
        print(f"train: goes on from update {self.progress.update:,}", flush=True)

    def _optimizer_state(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        state = self.optimizer.state_dict()
        state["state"] = {
            index: {key: tensors[f"optimizer.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            for index, name in enumerate(self.parameters)
        }
        return state


def describe(point: dict[str, float], *, better: bool) -> str:
    """One line for one validation."""
    return (
        f"  update {point['update']:>6,}  epoch {point['epoch']:>3}"
        f"  training loss {point['training_loss']:.3f}"
        f"  validation loss {point['validation_loss']:.3f}  perplexity {point['perplexity']:.2f}"
        + ("  best" if better else "")
    )


def rate_text(tokens: int, began: float) -> str:
    """Target tokens a second since `began`."""
    return f"{tokens / max(time.monotonic() - began, 1e-9):,.0f} target tokens/s"


@contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, however often: the update in hand is finished first."""
    stop = threading.Event()

    def request(signum: int, frame: object) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {name: signal.signal(name, request) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
