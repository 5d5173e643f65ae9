"""Opens a corpus file by its first bytes: unpacks it, rejects other data than UTF-8 text, bounds memory.

Why: file names are often wrong, and a few megabytes of gzip can expand to one line of gigabytes.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from seq2seq.common.errors import UserError

PACKINGS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
LONGEST_LINE = 2**20  # bytes of a line, and of a JSON record
EXPANDED = 2**28  # bytes to which any archive may expand
RATIO = 100  # times its size to which a larger archive may expand: text is compressed 3 to 10 times
LZMA_MEMORY = 2**28  # `xz -9` takes 65 MiB
HEAD = 4096  # bytes read to recognise a packing
SCANNED, SAMPLED = 500_000, 1000  # lines searched for a rare mark, and lines with it
MANY = 20  # NULs at even or at odd positions only that indicate UTF-16
BUFFER = 2**17  # bytes read at once, and sampled

MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
# How XML begins, without a byte order mark; the second if the file's name is that of a kind of XML
XML = re.compile(r"\s*<(\?xml\s|(!DOCTYPE\s+)?(\w+:)?(tmx|xliff)[\s>])")
NAMED_XML = re.compile(r"(?i)\s*<(?!(!doctype\s+)?html[\s>])")
# Formats recognised only to name the remedy
FOREIGN = [
    (rb"\x04\x22\x4d\x18", "is packed by lz4; unpack it: lz4 -d {name}"),
    (rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07", "is an archive; unpack it and name a file or folder of it"),
    (rb"(?s).{257}ustar", "is a tar archive; unpack it: tar -xf {name}, and name a file or folder of it"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Office file, which is not read; export it as TSV or CSV"),
    (rb"%PDF-", "is a PDF, which is not read; export its sentence pairs as TSV"),
    (rb"SQLite format 3\x00", "is an SQLite database, which is not read; export the table as TSV or CSV"),
    (rb"PAR1\x15", "is a Parquet file; name it .parquet"),
    (rb"ARROW1\x00\x00|\xff\xff\xff\xff", "is an Arrow file; name it .arrow"),
    (rb"(?i)\s*<(!doctype )?html[ >]", "is an HTML page; was a download answered by a page of the server?"),
]
OFFICE = {"xl/": "a spreadsheet (xlsx)", "word/": "a document (docx)", "ppt/": "a presentation (pptx)"}


class TooLongError(ValueError):
    """A line of more than LONGEST_LINE bytes."""


class Source:
    """A text file, packed or not: `sample` is its beginning, `note` a packing that its name does not show.

    Raises UserError for a file whose first bytes are neither UTF-8 text nor XML, that is damaged, or that
    expands beyond EXPANDED bytes and RATIO times its size.
    """

    def __init__(self, path: Path, named_xml: bool = False) -> None:
        self.path, self.note = path, ""
        with path.open("rb") as file:
            head = file.read(HEAD)
        self.packing = next((name for name, magic in MAGIC.items() if magic.match(head)), "")
        if self.packing == "xz":  # a header may request gigabytes
            with _damage(path):
                lzma.LZMADecompressor(memlimit=LZMA_MEMORY).decompress(head, 1)
        suffix = path.suffix.lower()
        if self.packing != PACKINGS.get(suffix, ""):
            self.note = f"packed by {self.packing}" if self.packing else f"not packed, though named {suffix}"
        self._most = max(EXPANDED, RATIO * path.stat().st_size) if self.packing else sys.maxsize
        with self._open() as unpacked, _damage(path):
            self.sample: bytes = unpacked.peek()
        start = NAMED_XML if named_xml else XML
        self.is_xml = start.match(_xml_start(self.sample)) is not None
        if not self.is_xml:  # which states its encoding
            _check_text(path, self.sample)

    def lines(self) -> Iterator[bytes]:
        """Every line with its end; one that is too long is cut after LONGEST_LINE + 1 bytes."""
        left = self._most
        with self._open() as file, _damage(self.path):
            while line := file.readline(LONGEST_LINE + 1):
                if (left := left - len(line)) < 0:
                    raise self._too_large()
                yield line
                while len(line) > LONGEST_LINE and not line.endswith(b"\n"):  # the rest is left out
                    line = file.readline(LONGEST_LINE + 1)
                    if (left := left - len(line)) < 0:
                        raise self._too_large()

    def lines_with(self, mark: bytes) -> bytes:
        """The first SAMPLED lines that contain a mark, of the first SCANNED lines."""
        found = (line for line in islice(self.lines(), SCANNED) if mark in line and len(line) < BUFFER)
        return b"".join(islice(found, SAMPLED))

    def pieces(self) -> Iterator[bytes]:
        """All bytes, in pieces of at most BUFFER."""
        left = self._most
        with self._open() as file, _damage(self.path):
            while piece := file.read(BUFFER):
                if (left := left - len(piece)) < 0:
                    raise self._too_large()
                yield piece

    def _too_large(self) -> UserError:
        return UserError(
            f"{self.path} expands to more than {EXPANDED:,} bytes and {RATIO} times its size; text does not: "
            "unpack it and check its contents"
        )

    def _open(self) -> io.BufferedReader:
        openers: dict[str, Callable[[Path], Any]] = {
            "gzip": gzip.open,
            "bzip2": bz2.open,
            "xz": lzma.open,
            "zstd": _open_zstd,
        }
        opener = openers.get(self.packing)
        raw = opener(self.path) if opener else self.path.open("rb", buffering=0)
        return io.BufferedReader(raw, BUFFER)


def _open_zstd(path: Path) -> Any:
    """A stream of the unpacked bytes; one that needs more than 128 MiB of memory fails."""
    import pyarrow as pa

    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")


def _xml_start(sample: bytes) -> str:
    """The first characters, decoded as XML is: by the byte order mark, or by the bytes of the first `<`."""
    head = sample[:HEAD]
    if head[:2] in (codecs.BOM_UTF16_LE, b"<\0"):
        return head.decode("utf-16-le", "replace").lstrip("\ufeff")
    if head[:2] in (codecs.BOM_UTF16_BE, b"\0<"):
        return head.decode("utf-16-be", "replace").lstrip("\ufeff")
    return head.decode("utf-8", "replace").lstrip("\ufeff")


def decode(data: bytes, errors: str = "strict") -> str:
    """A line as text without byte order marks, which files joined by `cat` have within.

    Raises UnicodeDecodeError, and TooLongError for a line cut by `Source.lines`.
    """
    if len(data) > LONGEST_LINE:
        raise TooLongError(f"a line of more than {LONGEST_LINE:,} bytes")
    while data[:3] == codecs.BOM_UTF8:
        data = data[3:]
    return data.decode("utf-8", errors)


def check_line_ends(path: Path, line: bytes) -> None:
    """Raises UserError if lines end with a carriage return alone."""
    if line.count(b"\r") > 1 and not line.endswith(b"\n"):
        raise UserError(f"{path} has carriage returns for line ends; convert it: tr '\\r' '\\n' < OLD > NEW")


def unreadable(path: Path, error: Exception) -> UserError:
    """The error for a file that cannot be read."""
    return UserError(f"{path} cannot be read: {error}; is it damaged or incomplete?")


def unread_kind(suffix: str) -> str:
    """The unsupported kind of a file, by its suffix, and the remedy; empty if it is unknown."""
    match suffix:
        case ".sgm" | ".html" | ".htm" | ".srt" | ".vtt":
            return "is not read; export its sentence pairs as TSV"
        case ".docx" | ".doc" | ".odt" | ".pdf" | ".rtf":
            return "is a document, which is not read yet; export its sentence pairs as TSV"
        case ".xlsx" | ".xls" | ".ods":
            return "is a spreadsheet, which is not read; export the sheet as CSV (UTF-8)"
        case ".zip" | ".7z" | ".rar" | ".tar" | ".tgz":
            return "is an archive; unpack it and name a file or folder of it"
        case ".lz4":
            return "is packed by lz4; unpack it first"
    return ""


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Raises UserError for the errors of damaged archives."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise unreadable(path, error) from None
    except OSError as error:  # of bz2 and zstd
        if error.errno is not None:
            raise
        raise unreadable(path, error) from None


def _check_text(path: Path, head: bytes) -> None:
    """Raises UserError if bytes are of another encoding than UTF-8 or of a kind of file without lines."""
    if re.match(rb"PK\x03\x04.\x00", head, re.DOTALL):
        raise UserError(f"{path} is {_zip_kind(path)}")
    for magic in MAGIC.values():
        if magic.match(head):
            raise UserError(f"{path} is packed twice; unpack it once")
    text = head.removeprefix(codecs.BOM_UTF8)
    for pattern, remedy in FOREIGN:
        if re.match(pattern, text):
            raise UserError(f"{path} {remedy.format(name=path.name)}")
    if encoding := _encoding(head):
        how = "looks like" if encoding.endswith("E") else "is"
        raise UserError(f"{path} {how} {encoding}; convert it: iconv -f {encoding} -t UTF-8 OLD > NEW")


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        names = []
    for folder, kind in OFFICE.items():
        if any(name.startswith(folder) for name in names):
            return f"{kind}, which is not read; export it as TSV or CSV (UTF-8)"
    return "a zip archive; unpack it and name a file or folder of it"


def _encoding(head: bytes) -> str:
    """UTF-16 or UTF-32 by byte order mark, or else by the positions of NUL bytes; empty otherwise."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    head = head[: len(head) // 4 * 4]
    bytes_of = [head[start::4] for start in range(4)]
    nuls = [part.count(0) for part in bytes_of]
    if not any(nuls):
        return ""
    if nuls[3] == len(bytes_of[3]) and max(bytes_of[2]) <= 0x10:  # code points end at 0x10ffff
        return "UTF-32LE"
    if nuls[0] == len(bytes_of[0]) and max(bytes_of[1]) <= 0x10:
        return "UTF-32BE"
    # Most characters with a NUL are ASCII: the NUL is their second byte in little endian. In UTF-16 line
    # ends have one; in UTF-8 a NUL can be anywhere.
    even, odd = nuls[0] + nuls[2], nuls[1] + nuls[3]
    ends = [
        sum(pair == end for pair in zip(head[::2], head[1::2], strict=True)) for end in ((10, 0), (0, 10))
    ]
    is_little = ends[0] > ends[1] if ends[0] != ends[1] else odd > even
    one_sided = even + odd >= MANY and min(even, odd) * 20 <= even + odd
    if one_sided or 2 * max(ends) >= max(1, head.count(b"\n")):
        return "UTF-16LE" if is_little else "UTF-16BE"
    return ""
