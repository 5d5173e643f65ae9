"""A folder of this host, or of a store that fsspec supports: s3://BUCKET/PATH with the extra services.

Why: each store has errors of its own; a caller distinguishes what a person has to change from what may pass.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from seq2seq.common.errors import TransientError, UserError, first_line
from seq2seq.common.masking import mask

NO_LOGIN = ("NoCredentialsError", "PartialCredentialsError")  # of botocore


def connect(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address, and the path there without a slash at its end; raises UserError."""
    with errors(address):
        system, root = url_to_fs(address)
    return system, root.rstrip("/")


def is_local(system: AbstractFileSystem) -> bool:
    """Whether the files are those of this host."""
    return "file" in system.protocol


@contextmanager
def errors(address: str) -> Iterator[None]:
    """Errors in this block become UserError or TransientError with the address."""
    try:
        yield
    except (UserError, TransientError):
        raise
    except ImportError as error:
        remedy = "; the extra services has s3fs" if address.startswith("s3") else ""
        raise UserError(f"{mask(address)}: {first_line(error)}{remedy}") from None
    except (ValueError, FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise UserError(f"{mask(address)}: {first_line(error)}") from None
    except Exception as error:  # each store has classes of its own
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise  # of this host's disk
        kind = UserError if type(error).__name__ in NO_LOGIN else TransientError
        raise kind(f"{mask(address)}: {first_line(error)}") from error
