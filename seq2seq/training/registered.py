"""The files of a registered version that params.yaml names by number and digest.

Why: DVC compares values, and does not track aliases. The registry of another host may have another
model under the same number, so the files themselves are compared with the digest.
"""

from __future__ import annotations

from pathlib import Path

from seq2seq.common.errors import UserError
from seq2seq.data import direction
from seq2seq.nn import model_files
from seq2seq.tracking import registry


def find(key: str, model: str, version: int, digest: str, remedy: str) -> Path:
    """The model folder of a version; `key` of params.yaml names it, and `remedy` ends each message.

    Raises UserError if the registry lacks it or it has another digest, TransientError for an unreachable
    registry.
    """
    try:
        folder = registry.download_model(f"models:/{model}/{version}")
        found = model_files.digest(folder)
    except UserError as error:
        raise UserError(f"{key}.version: {error}; {remedy}") from None
    except FileNotFoundError as error:
        raise UserError(f"{key}.version: {error.filename} is missing; {remedy}") from None
    if found != digest:
        raise UserError(
            f"{key}.digest: {model} version {version} in this registry has the digest {found}, params.yaml "
            f"names {digest}: it is another model; {remedy}"
        )
    return folder


def check_languages(key: str, model: str, version: int, folder: Path, corpus: Path, remedy: str) -> None:
    """Raise UserError unless a version's folder and a folder of the corpus have the same languages."""
    if problem := direction.mismatch(direction.read(folder), direction.read(corpus)):
        raise UserError(f"{key}: {model} version {version} translates {problem}: {remedy}")
