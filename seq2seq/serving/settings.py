"""The settings of the server: addresses, limits, times.

Why: each limit bounds the memory or the time that one client or all of them can take.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seq2seq.common import paths


@dataclass(frozen=True)
class Settings:
    """See `seq2seq serve --help`."""

    host: str = "127.0.0.1"
    port: int = 5005
    processes: int = 1  # that translate
    threads: int = 0  # of each of them; 0: PyTorch's default
    beam: int | None = None  # None: that of the version
    glossary: Path | None = None  # terms and their translations
    poll: float = 10.0  # seconds between two reads of the alias
    # A batch: the segments that are translated together.
    batch: int = 64  # segments
    batch_tokens: int = 2500  # of all its segments, estimated; a longer segment is a batch of its own
    # All requests.
    queue: int = 1000  # segments that wait
    per_client: int = 0  # segments of one client that wait; 0: no limit
    timeout: float = 60.0  # seconds until a request is answered
    file_timeout: float = 600.0  # the same for a file
    grace: float = 30.0  # seconds to finish requests when the server stops
    load_timeout: float = 120.0  # seconds in which a version must load and answer
    # One request.
    max_characters: int = 10_000  # of all its texts
    max_inspected: int = 2000  # characters of a text with attention, whose size is the square of the text's
    max_texts: int = 500
    max_alternatives: int = 10
    max_body: int = 1_000_000  # bytes
    max_file: int = 10_000_000  # bytes
    # Files.
    files: int = 100  # translated files that wait for their download
    file_lifetime: float = 600.0  # seconds until a translated file is removed
    documents: int = 8  # documents that are translated at the same time
    waiting_documents: int = 100  # these, and others that wait
    short_threads: int = 4  # for detection and suggestions
    waiting_short: int = 100  # requests for them that are worked on or wait
    corrections: Path | None = paths.CORRECTIONS  # the store of suggestions; None: refused
    api_keys: frozenset[str] = frozenset()  # empty: a key is accepted and ignored
    origins: tuple[str, ...] = ()  # other web pages that may use the server from a browser

    @property
    def longest_inspected(self) -> int:
        """The characters of a text with attention, at most."""
        return min(self.max_inspected, self.max_characters)
