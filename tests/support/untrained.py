"""A project with an untrained model that is not registered yet."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from seq2seq.common import params, paths
from seq2seq.data import direction
from seq2seq.data.direction import Direction, Side
from seq2seq.data.vocabulary import FILE, learn
from seq2seq.nn import model_folder
from seq2seq.nn.model import Config, Seq2Seq
from tests.support.projects import ROOT

SENTENCES = ["der Hund schläft im Haus", "die Katze läuft nicht", "der Hund läuft und die Katze schläft"]
CHECKED = params.load(ROOT / "recipes/tiny.yaml")
METRICS: dict[str, Any] = {
    "validation": {"bleu": 11.0, "chrf": 31.0, "ter": 50.0, "sentences": 2, "contaminated": 1},
    "test": {"bleu": 11.5, "chrf": 32.0, "ter": 51.0, "sentences": 2, "contaminated": 1},
    "news": {"bleu": 12.5, "chrf": 30.0, "ter": 52.0, "sentences": 3, "contaminated": 0},
    "frozen_set": "news",
    "digests": {"validation": "ef" * 32, "test": "0e" * 32, "news": "ab" * 32},
    "signatures": {"bleu": "tok:13a", "chrf": "nc:6", "ter": "tok:tercom"},
}
PROVENANCE = {
    **{"kind": "file", "path": "corpora/x.tsv", "rows": {"train": 9, "validation": 2, "test": 3}},
    "sources": {"x": {"path": "corpora/x.tsv", "licence": "unknown"}},
}


def make() -> None:
    """In the current folder: an untrained model, and reports as `evaluate` writes them."""
    shutil.copyfile(ROOT / "recipes/tiny.yaml", paths.PARAMS)
    model, size = learn(
        SENTENCES * 20, algorithm="unigram", size=300, character_coverage=1.0, normalization="nmt_nfkc"
    )
    torch.manual_seed(1)
    built = Seq2Seq(
        Config(
            vocabulary_size=size,
            embedding_size=8,
            hidden_size=8,
            attention_size=8,
            layers=1,
            attention="additive",
            dropout=0.0,
            tie_embeddings=True,
        )
    )
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(3)  # else all translations are the same
    model_folder.save(built, paths.MODEL)
    (paths.MODEL / FILE).write_bytes(model)
    direction.write(paths.MODEL, Direction(Side("de", "Latin"), Side("en", "Latin")))
    paths.REPORTS.mkdir()
    paths.PROVENANCE.parent.mkdir(exist_ok=True)
    write(paths.PROVENANCE, PROVENANCE)
    write(paths.RUN, {"run_id": "0" * 32, "experiment": CHECKED.register.name, "fingerprint": "f" * 40})
    write(paths.METRICS, METRICS | {"model_digest": model_folder.digest(paths.MODEL)})
    samples = [{"kind": "short", "source": text, "source_pieces": ["</s>"]} for text in SENTENCES]
    # As `evaluate` writes a sentence that is too long for the model.
    samples.append({"kind": "longest", "source": "Hund " * 900, "source_pieces": []})
    write(paths.SAMPLES, samples)
    paths.SEGMENTS.write_text("{}\n")
    paths.LENGTHS.write_text("words,sentences,bleu,chrf\n")
    paths.SLICES.write_text("slice,sentences,bleu,chrf\n")
    paths.PICTURES.mkdir()
    (paths.PICTURES / "attention.png").write_bytes(b"")


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))
