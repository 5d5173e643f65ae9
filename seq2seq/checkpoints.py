"""Checkpoints of an unfinished training, in a folder named by everything the result depends on.

Why: a killed training must go on to the bit, and one with other data, code or parameters must never
pick up what is not its own. They lie outside DVC's outs, which are deleted before a stage runs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from seq2seq import paths

FILE = "checkpoint.safetensors"


def fingerprint(stage: str, settings: Mapping[str, Any], dag: Path = Path("dvc.yaml")) -> str:
    """40 hex digits over a stage's parameters and the contents of all its deps in dvc.yaml."""
    total = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for dep in YAML(typ="safe").load(dag.read_text(encoding="utf-8"))["stages"][stage]["deps"]:
        root = Path(dep)
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                total.update(path.as_posix().encode())
                with path.open("rb") as file:
                    total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:40]


class Checkpoints:
    """The one checkpoint of the training with this fingerprint: tensors and a JSON state."""

    def __init__(self, fingerprint: str, folder: Path = paths.CHECKPOINTS) -> None:
        self._folder = folder / fingerprint

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / f"{FILE}.new"
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(whole, draft, metadata={"state": json.dumps(state)})
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(self._folder / FILE)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and state as they were saved; None if there is nothing to go on from."""
        if not self.exists():
            return None
        with safe_open(self._folder / FILE, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(file.metadata()["state"])

    def exists(self) -> bool:
        """Whether there is anything to go on from."""
        return (self._folder / FILE).is_file()
