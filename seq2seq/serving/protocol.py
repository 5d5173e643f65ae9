"""Messages between the server and the process of its model: a length, then JSON.

Why: the two processes share no memory, and a pickle would execute whatever it contains.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple, TypedDict

LENGTH = struct.Struct(">I")


class Want(NamedTuple):
    """The parts of a translation that are wanted beside its text; texts of one batch have the same."""

    attend: bool = False  # pieces and attention
    alternatives: int = 0
    doubts: bool = False  # the differences from the training data


class Found(TypedDict, total=False):
    """A translation as it is sent."""

    text: str
    score: float
    confidence: float | None
    mean: float | None  # log-probability of a token
    splits: int
    source: list[str]
    target: list[str]
    attention: str | None  # float32 in base64, a row for each target piece
    alternatives: list[tuple[str, float, float | None]]
    doubts: list[str]
    unknown: list[str]


def frame(message: Any) -> bytes:
    """A message as bytes."""
    data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return LENGTH.pack(len(data)) + data


def read(stream: BinaryIO) -> Any:
    """The next message of a stream; None at its end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    data = stream.read(size)
    return json.loads(data) if len(data) == size else None


async def receive(stream: asyncio.StreamReader) -> Any:
    """The next message of a stream; raises asyncio.IncompleteReadError at its end."""
    (size,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
    return json.loads(await stream.readexactly(size))


def packed(attention_TS: Any) -> str:
    """An array of float32 as base64 of its little-endian bytes."""
    return base64.b64encode(attention_TS.astype("<f4").tobytes()).decode()


def unpacked(found: Found) -> bytes | None:
    """The bytes of an attention; None without one."""
    text = found.get("attention")
    return None if text is None else base64.b64decode(text)


def matrix(found: Found) -> list[list[float]] | None:
    """The attention of a translation in four decimals, a row for each target piece; None without one."""
    data = unpacked(found)
    if data is None:
        return None
    width = len(found["source"])
    values = [round(value, 4) for value in struct.unpack(f"<{len(data) // 4}f", data)]
    return [values[begin : begin + width] for begin in range(0, len(values), width)]


def request(texts: Sequence[str], want: Want, beam: int | None) -> dict[str, Any]:
    """A message with texts to translate."""
    return {"texts": list(texts), "beam": beam, **want._asdict()}
