"""Downloads one file over HTTP, in parts that outlast a broken connection.

Why: files of gigabytes come from slow servers; a refusal is the user's to mend, a silence may pass.
"""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask
from seq2seq.common.progress import Progress
from seq2seq.data.mirror import MIRROR

WAITS = (1.0, 3.0)  # seconds before the second and the third attempt
SILENCE = 60.0  # seconds without a byte after which an attempt ends


def download_file(path: Path, url: str, place: Path, resume: bool) -> None:
    """Download a file, for the pin at `path`; `resume` continues the part of an earlier attempt.

    Resuming is safe only if the hash of the whole is compared afterwards. Raises UserError if the server
    refuses it, TransientError if it does not answer.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part")
    print(f"ingest: downloading {mask(url)}", flush=True)
    for wait in (*WAITS, None):
        try:
            if not resume:
                part.unlink(missing_ok=True)
            _stream(path, url, part)
            part.replace(place)
            return
        except (httpx.TransportError, TransientError) as error:
            problem = mask(f"{url}: {error or type(error).__name__}")
            if wait is not None:
                print(f"ingest: {problem}; trying again", flush=True)
                time.sleep(wait)
    raise TransientError(f"{problem}\n  tried {len(WAITS) + 1} times; try again later, or set {MIRROR}")


def _stream(path: Path, url: str, part: Path) -> None:
    """Append the rest of a file to the part that is there, or all of it if the server cannot."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=SILENCE) as answer:
        status = answer.status_code
        if status == 416:  # the part is whole, or longer than the file
            part.unlink()
            raise TransientError("the file has changed meanwhile")
        if status >= 500 or status in (408, 425, 429):
            raise TransientError(f"status {status}")
        if status >= 400:
            raise UserError(f"{path}: {url} answers {status}: correct `url`, or see whether it has moved")
        if status != 206:
            have = 0
        rest = answer.headers.get("Content-Length")
        total = have + int(rest) if rest else None
        with (
            part.open("ab" if have else "wb") as file,
            Progress("ingest", "bytes", total, start=have) as progress,
        ):
            for chunk in answer.iter_raw():
                file.write(chunk)
                progress.advance(len(chunk))
        if total is not None and part.stat().st_size != total:
            raise TransientError(f"{part.stat().st_size:,} of {total:,} bytes came")
