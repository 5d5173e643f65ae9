"""Checkpoints of an unfinished training, in a folder named by a hash of all that the result depends on.

Why: a killed training resumes identically to the bit, and never from a checkpoint of other data, code or
parameters, nor from a damaged file. The folder is no out of DVC, which deletes outs before a stage runs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from seq2seq.common import paths
from seq2seq.common.checkpoint_copies import Copies
from seq2seq.common.files import replacing
from seq2seq.common.schema import Train

FILE, BEFORE = "checkpoint.safetensors", "checkpoint.before.safetensors"
SYSTEM_ERROR = re.compile(r"os error (\d+)")


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


def of_training(settings: Train) -> str:
    """The fingerprint of a training. Limits change no result: with another one a training resumes."""
    return fingerprint("train", settings.model_dump(exclude={"learns_within"}))


class Checkpoints:
    """The last two checkpoints of the training with this fingerprint: tensors and a JSON state each.

    With a store in the environment, copies of them are there too.
    """

    def __init__(self, fingerprint: str, folder: Path = paths.CHECKPOINTS) -> None:
        self._folder = folder / fingerprint
        self._copies = Copies.configured(fingerprint)

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Add a checkpoint and keep the previous one; a kill at any moment leaves one of them intact.

        Raises OSError naming the file, e.g. for a full disk.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        text = json.dumps(state)
        with replacing(self._folder / FILE) as draft:
            try:
                save_file(whole, draft, metadata={"state": text, "digest": _digest(whole, text)})
            except SafetensorError as error:  # the system's error number is in its text only
                found = SYSTEM_ERROR.search(str(error))
                raise OSError(int(found[1]) if found else errno.EIO, str(error), str(draft)) from None
            if (self._folder / FILE).exists():
                (self._folder / FILE).replace(self._folder / BEFORE)
        if self._copies:
            self._copies.put(self._folder / FILE, state["update"])

    def load(self, fetch: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and state of the newest intact checkpoint; None if there is none.

        A damaged one is renamed to *.damaged, and its path is printed. With `fetch` a newer copy in the store
        replaces it; raises UserError for a wrong store, TransientError for one that does not answer.
        """
        if fetch:
            self._fetch()
        for path, otherwise in (
            (self._folder / FILE, "the previous one"),
            (self._folder / BEFORE, "the start"),
        ):
            if not path.is_file():
                continue
            try:
                return _read(path)
            except DamagedError as error:
                aside = path.with_name(f"{path.name}.damaged")
                path.replace(aside)
                print(
                    f"train: checkpoint {path} is damaged ({error}): set aside as {aside.name}; "
                    f"training resumes from {otherwise}",
                    flush=True,
                )
        return None

    def _fetch(self) -> None:
        """Replace the file by a copy of a later update, if there is an intact one."""
        if self._copies is None:
            return
        found = self.find()
        own = found[1]["update"] if found else -1
        for update in self._copies.updates():
            if update <= own:
                return
            try:
                with replacing(self._folder / FILE) as draft:
                    if not self._copies.fetch(update, draft):
                        raise DamagedError("it is gone")
                    _read(draft)
            except DamagedError as error:
                print(f"train: copy {update} in {self._copies.address} is not used: {error}", flush=True)
                self._copies.drop(update)  # else it would count as one of those that are kept
                continue
            print(f"train: fetched the checkpoint of {self._copies.address}", flush=True)
            return

    def finish(self) -> None:
        """Wait for copies that are under way."""
        if self._copies:
            self._copies.finish()

    def exists(self) -> bool:
        """Whether there is a checkpoint file."""
        return any(path.is_file() for path in self._files)

    def find(self) -> tuple[Path, dict[str, Any]] | None:
        """The file that `load` would read, and its state; changes nothing."""
        for path in self._files:
            with suppress(FileNotFoundError, DamagedError):
                return path, _read(path)[1]
        return None

    @property
    def _files(self) -> tuple[Path, Path]:
        return self._folder / FILE, self._folder / BEFORE


class DamagedError(Exception):
    """A checkpoint that cannot be read, or whose checksum differs."""


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state of a file; raises DamagedError."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged header raises any of many errors
        raise DamagedError((str(error) or type(error).__name__).splitlines()[0][:200]) from None
    if "digest" not in metadata or "state" not in metadata:
        raise DamagedError("it has no checksum")
    if _digest(tensors, metadata["state"]) != metadata["digest"]:
        raise DamagedError("its checksum differs")
    return tensors, json.loads(metadata["state"])


def _digest(tensors: Mapping[str, Tensor], state: str) -> str:
    """sha256 over the state and the name, type, shape and bytes of each tensor."""
    total = hashlib.sha256(state.encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"\0{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        total.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
