"""Digests of a version's files, recorded when it is registered and compared before it is loaded.

Why: a registered model is code. Write access to the artifact store must not be enough to have other code or
other weights loaded, so each version has the digest of all its files as a tag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from seq2seq.common.errors import UserError

ALL, MODEL = "files.sha256", "files.model.sha256"  # tags: of all files, and of those of the model folder
META = "registered_model_meta"  # MLflow writes it beside MLmodel when it downloads a version
COMPILED = "__pycache__"  # not part of a version, and removed from what is loaded
SHOWN = 12  # digits of a digest in a message


class ChangedError(UserError):
    """Files of a version are not those that were registered."""


def digest(folder: Path) -> str:
    """sha256 over path and content of each file of a folder, apart from compiled code and MLflow's note."""
    total = hashlib.sha256()
    for name, path in sorted(_files(folder)):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{content}  {name}\n".encode())
    return total.hexdigest()


def check(uri: str, folder: Path, wanted: str | None) -> None:
    """Raise ChangedError if the files differ from the recorded digest; without one, nothing is compared."""
    if wanted is not None and (found := digest(folder)) != wanted:
        raise ChangedError(
            f"{uri}: its files in {folder} are not those that were registered (sha256 {found[:SHOWN]}, the "
            f"registry has {wanted[:SHOWN]}): they are changed or damaged and are not loaded; restore them "
            "from a backup, or `seq2seq run --force register` registers the model again"
        )


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and COMPILED not in name.parts and name.as_posix() != META:
            yield name.as_posix(), path
