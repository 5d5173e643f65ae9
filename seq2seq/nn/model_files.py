"""The files of a model folder, and the digest by which a model is named.

Why: stages that only compare or copy these files do not import the model. model_folder.py reads and writes
them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from seq2seq.data import direction, vocabulary

WEIGHTS, CONFIG = "weights.safetensors", "config.json"
VOCABULARY = (vocabulary.FILE, vocabulary.TARGET_FILE)  # of which the second may be missing


def digest(folder: Path) -> str:
    """sha256 of weights, config, vocabulary and languages."""
    total = hashlib.sha256()
    for name in (WEIGHTS, CONFIG, vocabulary.FILE):
        total.update((folder / name).read_bytes())
    for name in (vocabulary.TARGET_FILE, direction.FILE):
        if (folder / name).is_file():
            total.update((folder / name).read_bytes())
    return total.hexdigest()


def vocabulary_bytes(folder: Path) -> dict[str, bytes]:
    """The SentencePiece models of a folder, by file name."""
    return {name: (folder / name).read_bytes() for name in VOCABULARY if (folder / name).is_file()}
