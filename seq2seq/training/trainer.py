"""The training loop: updates, validations, early stopping, checkpoints.

Why: training ends after a number of updates, not by the clock, so that the same parameters give the same
model. Stopped at any update, it resumes identically to the bit (on a CPU, in one process).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seq2seq.common import paths
from seq2seq.common.device import wants_graphs
from seq2seq.common.errors import QualityError, UserError
from seq2seq.common.processes import stop_requested
from seq2seq.common.progress import Progress, duration
from seq2seq.common.schema import Train as Settings
from seq2seq.common.threads import Neighbours, keep_threads
from seq2seq.data.tokens import TokenSplit
from seq2seq.nn.batches import Batch, Batches
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.nn.precision import choose_precision
from seq2seq.tracking.run import Run
from seq2seq.training import checkpoints, distributed, fast_loss, health
from seq2seq.training.cuda_graphs import Graphs
from seq2seq.training.loss import cross_entropy
from seq2seq.training.state import TrainingState, pack, unpack

FINAL_SHARE = 0.01  # of the peak learning rate, where the cosine ends
LOSS_CHECK = 20  # updates between checks of the loss, each of which waits for the device


def learning_rate(update: int, settings: Settings) -> float:
    """The rate of an update (counted from 1): linear warm-up, then a cosine to 1 % of the peak."""
    if update <= settings.warmup_updates:
        return settings.learning_rate * update / settings.warmup_updates
    decay = max(settings.updates - settings.warmup_updates, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * (update - settings.warmup_updates) / decay))
    return settings.learning_rate * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)


class Trainer:
    """A model, its optimiser and its state; `fit` trains to the end or until stopped."""

    def __init__(
        self,
        settings: Settings,
        vocabulary_size: int,
        device: torch.device,
        store: checkpoints.Checkpoints,
        tokens: Path = paths.TOKENS,
        group: distributed.ProcessGroup = distributed.SINGLE,
        exceeded: health.Exceeded = health.stop,
    ) -> None:
        self.settings, self.device, self.checkpoints, self.group = settings, device, store, group
        self._exceeded, self._accepted = exceeded, set[str]()
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
        self.state = TrainingState(**self._saved[1]) if self._saved else TrainingState()
        self._is_same_device = self.state.device == device.type
        bf16 = self.state.bf16 if self._is_same_device else None
        self.precision = choose_precision(settings.precision, device, bf16)
        self._graphs: Graphs | None = None
        if wants_graphs(device):
            self._graphs = Graphs(self.model, settings.label_smoothing, self.precision)
        limits = (settings.batch_tokens, settings.max_tokens, settings.seed)
        splits = [TokenSplit(tokens, name) for name in ("train", "validation")]
        self.training, self.validation = (Batches(split, *limits, group.shard) for split in splits)
        self._health = health.Health(settings, vocabulary_size, *splits)
        for name, batches in (("train", self.training), ("validation", self.validation)):
            if not batches.pairs:
                raise UserError(
                    f"train.max_tokens: no {name} pair has 1 to {settings.max_tokens} tokens a side"
                )
        self.best: dict[str, Tensor] = {}
        # In double precision and reset by validations only, so that stopping changes no sum.
        self._loss = torch.zeros((), dtype=torch.float64, device=device)

    def fit(self, run: Run | None) -> None:
        """Train until `updates` or `patience` is reached, logging validations to `run`.

        Raises KeyboardInterrupt when interrupted, QualityError for a limit of health that is exceeded.
        """
        settings = self.settings
        self._announce()
        self._resume()
        state = self.state
        state.device = self.device.type
        state.threads, state.bf16 = torch.get_num_threads(), self.precision.products
        self.group.sync(self.parameters.values(), settings.seed, state.update)
        self._check_learning()  # an earlier call may have stopped for this
        with (
            stop_requested() as stop,
            Progress("train", "updates", settings.updates, start=state.update) as bar,
        ):
            speed, began, neighbours = 0, time.monotonic(), Neighbours()
            measured, since = 0, began
            batches = self._batches()
            while not self.finished:
                batch = next(batches)
                self._update(batch)
                speed += batch.tokens
                rate = speed / (time.monotonic() - began)
                bar.advance(1, f"{rate:,.0f} target tokens/s, best perplexity {self._perplexity()}")
                if state.update % LOSS_CHECK == 0:
                    self._check_loss()
                if self.device.type == "cpu" and (warning := neighbours.warning()):
                    bar.write(warning)
                if state.update % settings.validate_every == 0 or self.finished:
                    interval = (speed - measured) / (time.monotonic() - since)
                    point = self._validate()
                    measured, since = speed, time.monotonic()
                    if run is not None:
                        run.log_metrics({k: v for k, v in point.items() if k != "update"}, state.update)
                    bar.write(describe(point, better=state.best_update == state.update))
                if self.group.any(stop.is_set()):
                    self._save_checkpoint()
                    bar.write(f"train: stopped at update {state.update:,}; the next run resumes there")
                    raise KeyboardInterrupt
                if state.update % settings.validate_every == 0:
                    self._check_learning()
                    slow = self._health.speed(interval)
                    self._check(health.OTHER_RANK if self.group.any(slow is not None) and not slow else slow)
                if state.update % settings.checkpoint_every == 0 or self.finished:
                    self._save_checkpoint()
        early = f", no better for {settings.patience:,} updates" if state.update < settings.updates else ""
        print(
            f"train: {state.update:,} updates ({state.epoch + 1} epochs) in "
            f"{duration(time.monotonic() - began)}{early}; best perplexity {self._perplexity()} "
            f"at update {state.best_update:,}, {rate_text(speed, began)}"
        )

    @property
    def finished(self) -> bool:
        """Whether the last update has been made."""
        stale = self.state.update - self.state.best_update
        return self.state.update >= self.settings.updates or stale >= self.settings.patience

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
        """Training batches from the current one on, without end."""
        while True:
            for batch in self.training.epoch(self.state.epoch, start=self.state.batch):
                yield batch.to(self.device)
            self.state.epoch += 1
            self.state.batch = 0

    def _update(self, batch: Batch) -> None:
        state = self.state
        state.update += 1
        state.batch += 1
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(state.update, self.settings)
        loss = self._gradients(batch)
        self.group.sum_([loss, *(p.grad for p in self.parameters.values() if p.grad is not None)])
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.clip_norm)
        self.optimizer.step()
        self._loss += loss
        state.tokens += batch.tokens

    def _gradients(self, batch: Batch) -> Tensor:
        """The summed loss of a batch; sets the gradients of the loss per token."""
        if self._graphs is not None:
            return self._graphs(batch)
        loss = fast_loss.summed_loss(self.model, batch, self.settings.label_smoothing, self.precision)
        self.optimizer.zero_grad(set_to_none=True)
        (loss / batch.tokens).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _check_loss(self) -> None:
        self.state.loss = float(self._loss)
        if failure := health.finite(self.state.loss, self.state.update, self.settings):
            raise failure

    def _check_learning(self) -> None:
        self._check(self._health.learning(len(self.state.curve), self.state.best_loss))

    def _check(self, failure: QualityError | None) -> None:
        """Save, and stop for a failure that is not accepted; the same one is accepted for the whole call."""
        if failure is not None and failure.figure.key not in self._accepted:
            self._save_checkpoint()
            self._exceeded(failure)
            self._accepted.add(failure.figure.key)

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """One point of the curve, with the loss per token on validation; keeps the best weights so far."""
        self._check_loss()
        state = self.state
        self.model.eval()
        total, tokens = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for batch in self.validation.in_order():
            batch = batch.to(self.device)
            logits_BTV, _ = self.model(batch.source_BS, batch.source_lengths_B, batch.input_BT)
            total += cross_entropy(logits_BTV, batch.output_BT)
            tokens += batch.tokens
        self.group.sum_([total])
        validation_loss = float(total) / tokens
        if validation_loss < state.best_loss:
            state.best_loss, state.best_update = validation_loss, state.update
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        point = {
            "update": state.update,
            "epoch": state.epoch + 1,
            "training_loss": round(state.loss / max(state.tokens, 1), 5),
            "validation_loss": round(validation_loss, 5),
            "perplexity": round(math.exp(min(validation_loss, 50)), 4),
            "learning_rate": round(learning_rate(state.update, self.settings), 8),
        }
        state.curve.append(point)
        state.loss, state.tokens = 0.0, 0
        self._loss.zero_()
        return point

    def _perplexity(self) -> str:
        best = self.state.best_loss
        return f"{math.exp(best):.2f}" if best < 50 else "-"

    def _save_checkpoint(self) -> None:
        self._check_loss()
        if not self.group.is_main:
            return
        tensors = pack(self.parameters, self.best, self.optimizer, self.device)
        self.checkpoints.save(tensors, vars(self.state))

    def _load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        # The main rank sets damaged checkpoints aside before the others load.
        saved = self.checkpoints.load() if self.group.is_main else None
        self.group.any(False)
        return saved if self.group.is_main else self.checkpoints.load(fetch=False)

    def _resume(self) -> None:
        if self._saved is None:
            return
        tensors, self._saved = self._saved[0], None
        self._loss.fill_(self.state.loss)
        self.best = unpack(tensors, self.parameters, self.optimizer, self.device)
        if self._is_same_device and self.device.type == "cpu":
            keep_threads("train", self.state.threads)
        print(f"train: resumes from update {self.state.update:,}", flush=True)


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
