"""The parts that pins of all kinds have in common: reading a pin file, and comparing files with its hashes.

Why: a wrong file is named with its hash and the remedy, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from ruamel.yaml.error import YAMLError

from seq2seq.common import params
from seq2seq.common.errors import UserError
from seq2seq.common.files import sha256
from seq2seq.data.splits import File

P = TypeVar("P", bound=BaseModel)


def is_inside(name: str) -> str:
    """The name of a file of a dataset; raises ValueError if it leads out of the dataset's folder."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "://" in name:
        raise ValueError("a file's name leads out of the dataset: it must be a path below it")
    return name


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0)]  # in bytes
FileName = Annotated[str, AfterValidator(is_inside)]


def read(path: Path) -> Any:
    """The document of a pin file, with comments; raises UserError."""
    try:
        return params.round_trip_yaml().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; a pin is a file such as corpora/multi30k.yaml") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None


def checked(path: Path, document: Any, kind: type[P], needs: str) -> P:
    """A document as a pin of a kind; raises UserError, with the keys that it needs."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(map(str, e['loc']))}: {e['input']!r}: {e['msg']}" for e in error.errors()
        )
        raise UserError(f"{path} is no pin of a remote corpus:\n{problems}\n  {needs}") from None


def compare_hashes(
    path: Path,
    pinned: Mapping[str, str],
    where: str,
    files: Mapping[str, list[File]],
    ours: Collection[Path] = (),
) -> int:
    """The number of files whose hash was compared, 0 if the pin has none; raises UserError.

    A wrong file is removed only if it is one of `ours`, downloaded by this run into a folder of the project.
    """
    if not pinned:
        return 0
    everything = {file.name: file.path for split in files.values() for file in split}
    if differing := everything.keys() ^ pinned.keys():
        raise UserError(
            f"{where} and {path} do not name the same files: {', '.join(sorted(differing))}\n"
            f"  if the change is meant, renew the pin: seq2seq pin {path}"
        )
    for name, place in everything.items():
        found = sha256(place)
        if found != pinned[name]:
            remedy = f"remove {place.resolve()} and run again"
            if place in ours:  # else the next run would use the same bytes
                place.resolve().unlink()
                place.unlink(missing_ok=True)
                remedy = "run again, which downloads it again"
            raise UserError(
                f"{where}: {name} has sha256 {found},\n  but {path} pins {pinned[name]}\n"
                f"  if the change is meant, renew the pin: seq2seq pin {path}\n"
                f"  if the file is damaged, {remedy}"
            )
    return len(everything)
