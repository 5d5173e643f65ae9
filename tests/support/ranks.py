"""The processes of the tests of distributed training: `python ranks.py FOLDER MISHAP`, run by a launcher.

A small training on the batches of FOLDER; each rank writes its losses and gradients there. The mishap
happens to the last rank at one update.
"""

import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from seq2seq.common import processes
from seq2seq.common.errors import TransientError
from seq2seq.common.processes import stop_requested
from seq2seq.data.tokens import TokenSplit
from seq2seq.data.vocabulary import PAD
from seq2seq.nn.batches import Batches
from seq2seq.nn.model import Config, Seq2Seq
from seq2seq.nn.precision import Precision
from seq2seq.training import distributed, fast_loss

CONFIG = Config(
    vocabulary_size=30,
    embedding_size=8,
    hidden_size=12,
    attention_size=8,
    layers=1,
    attention="additive",
    dropout=0.0,
    tie_embeddings=True,
)
UPDATES, MOMENT = 8, 6


def befall(mishap: str) -> None:
    match mishap:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        case "stop launcher":
            os.kill(os.getppid(), signal.SIGINT)
        case "kill launcher":
            os.kill(os.getppid(), signal.SIGKILL)
        case "hang":
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(600)
        case "raise":
            raise TransientError("the moon is away")


def train(group: distributed.ProcessGroup, folder: Path, mishap: str = "") -> dict[str, Any]:
    """Losses, gradients and weights of a few updates, and this rank's rows of each batch."""
    batches = Batches(TokenSplit(folder, "train"), 60, 50, seed=1, shard=group.shard)
    torch.manual_seed(group.rank)  # initial weights that differ between ranks
    model = Seq2Seq(CONFIG).double()
    weights = list(model.parameters())
    group.sync(weights, seed=1, update=0)
    optimizer = torch.optim.SGD(weights, lr=0.1)
    seen: dict[str, Any] = {"losses": [], "gradients": [], "rows": [], "drawn": float(torch.rand(()))}
    with stop_requested() as stop:
        for update, batch in zip(range(1, UPDATES + 1), batches.epoch(0), strict=False):
            if update == MOMENT and group.rank == group.size - 1:
                befall(mishap)
            loss = fast_loss.summed_loss(model, batch, 0.1, Precision(torch.float64))
            optimizer.zero_grad()
            (loss / batch.tokens).backward()
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            loss = loss.detach()
            group.sum_([loss, *gradients])
            optimizer.step()
            seen["losses"].append(loss)
            seen["gradients"].append(torch.cat([gradient.flatten() for gradient in gradients]))
            seen["rows"].append(int((batch.output_BT != PAD).any(dim=1).sum()))
            seen["weights"] = torch.cat([weight.data.flatten() for weight in weights])
            torch.save(seen, folder / f"rank{group.rank}of{group.size}.pt")
            if mishap.endswith("launcher") and update == MOMENT:
                stop.wait(60)  # training must not end before the signal arrives
            if group.any(stop.is_set()):
                raise KeyboardInterrupt
    return seen


if __name__ == "__main__":
    place, what = sys.argv[1:]
    processes.die_with()
    distributed.TIMEOUT = timedelta(seconds=20 if what == "hang" else 300)
    with distributed.init() as joined:
        print(f"rank {joined.rank} prints this")
        joined.check_equal("their number", joined.rank if what == "differ" else joined.size)
        train(joined, Path(place), what)
