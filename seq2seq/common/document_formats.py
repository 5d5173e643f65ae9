"""The formats of documents, by the ends of files' names.

Why: the command line lists them before a library is imported.
"""

from __future__ import annotations

from pathlib import Path

from seq2seq.common.errors import UserError

RECORDS = ("txt", "tsv", "csv", "jsonl", "parquet")
PAGES = ("md", "html", "srt")  # text with markup
UNITS = ("tmx", "xliff", "po")  # each with a place for a translation
NAMES = (*RECORDS, *PAGES, *UNITS)
ENDS = {
    **{f".{name}": name for name in NAMES},
    ".text": "txt",
    ".ndjson": "jsonl",
    ".markdown": "md",
    ".htm": "html",
    ".xhtml": "html",
    ".xlf": "xliff",
    ".pot": "po",
}
INSTALL = (
    "install the extra with pip install 'seq2seq[documents]', in a clone with .venv/bin/uv pip install "
    "-c constraints.txt -e '.[documents]'"
)


def is_document(name: str) -> bool:
    """Whether an argument names a file of a known format."""
    path = Path(name)
    return path.suffix.lower() in ENDS and path.is_file()


def of(path: Path, name: str | None = None) -> str:
    """The format of a file, by its name unless one is given; raises UserError for an unknown one."""
    if name:
        return name
    if path.suffix.lower() not in ENDS:
        raise UserError(f"{path}: name the format: --format {'|'.join(NAMES)}")
    return ENDS[path.suffix.lower()]


def missing(error: ModuleNotFoundError) -> UserError:
    """The error for a library that is not installed."""
    return UserError(f"{(error.name or '').partition('.')[0]} is not installed: {INSTALL}")
