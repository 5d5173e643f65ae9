"""The settings of a search: of a request, and stored with a registered model as defaults.

Why: a version's scores hold for one beam, length penalty and splitter; requests may choose others, within
limits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.common.errors import UserError
from seq2seq.inference import sentences
from seq2seq.nn.precision import PRECISIONS

FILE = "decoding.json"  # in a registered model
# Limits of a request: a server has others to answer, and larger beams gain nothing.
LIMITS = {"beam": (1, 100), "length_penalty": (0, 10), "max_length": (1, 1000)}


class Decoding(NamedTuple):
    """The settings of the search."""

    beam: int = 5
    length_penalty: float = 1.0
    max_length: int = 200  # tokens
    precision: str = "fp32"  # of the products: fp32 | bf16 | int8
    split_sentences: bool = True  # translate the sentences of a text one by one

    def stored(self, source_language: str | None) -> dict[str, Any]:
        """The settings and all that splitting depends on, as stored with a registered model."""
        splitter = sentences.name_and_version() if self.split_sentences else None
        return {**self._asdict(), "splitter": splitter, "source_language": source_language}

    def chosen(
        self,
        beam: int | None,
        length_penalty: float | None,
        max_length: int | None,
        precision: str | None,
        split_sentences: bool | None,
    ) -> Decoding:
        """These settings with those of a request that are not None; raises UserError beyond a limit."""
        request = (beam, length_penalty, max_length, precision, split_sentences)
        chosen = Decoding._make(d if r is None else r for d, r in zip(self, request, strict=True))
        for name, (least, most) in LIMITS.items():
            if not least <= (value := getattr(chosen, name)) <= most:
                raise UserError(f"{name}: {value} is not allowed, it should be from {least} to {most}")
        if chosen.precision not in PRECISIONS:
            raise UserError(
                f"precision: {chosen.precision!r} is not allowed, it should be {', '.join(PRECISIONS)}"
            )
        return chosen


def read(folder: Path) -> tuple[Decoding | None, str | None]:
    """The settings stored in a model folder, None without them, and the language to split by."""
    if not (file := folder / FILE).is_file():
        return None, None
    stored = json.loads(file.read_text("utf-8"))
    # Versions registered before there was a splitter were scored without it.
    settings = {"split_sentences": False} | stored
    known = {name: settings[name] for name in Decoding._fields if name in settings}
    return Decoding(**known), stored.get("source_language")
