"""The deployment `translate`: the documents of a folder or a store, translated into another one.

Why: documents that arrive by the day are translated on a schedule, with its alerts, and each one time.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from flows.child import Child, PrintLine, project_path
from flows.dvc_runner import KINDS
from flows.stage_errors import StageError
from seq2seq.common import disk, document_formats, progress, stores
from seq2seq.common.environment import OUTCOME_FILE
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.exits import Exit
from seq2seq.common.files import replacing, sha256
from seq2seq.common.masking import mask
from seq2seq.tracking import named_versions

STATE = ".translated.json"  # in the target, by file: checksum of the source, version, and options
PORTION = 100  # files that one process translates, at most
TRANSLATED, LEFT_OUT, FAILED = "translated", "translated, some records left out", "failed"
UNCHANGED, NO_DOCUMENT = "unchanged", "no document"


@dataclass(frozen=True)
class Options:
    """Options of `seq2seq translate` for all files; `again`: also those of other options or versions."""

    column: str | None = None  # of a table
    glossary: str | None = None
    again: bool = False
    timeout: float | None = None  # seconds for PORTION files

    def arguments(self) -> list[str]:
        """For the command line."""
        given = {"--column": self.column, "--glossary": self.glossary}
        return [part for name, value in given.items() if value is not None for part in (name, value)]

    def digest(self) -> str:
        """A digest of the options that change a translation; the glossary by its content."""
        if self.glossary is not None and not Path(self.glossary).is_file():
            raise UserError(f"glossary: {self.glossary} is no file")
        content = sha256(Path(self.glossary)) if self.glossary is not None else None
        return hashlib.sha256(json.dumps([self.column, content]).encode()).hexdigest()[:16]


class Folder:
    """A folder of this host, or of a store: s3://BUCKET/PATH with the extra services."""

    def __init__(self, address: str) -> None:
        self.address = mask(address)
        self.system, self.root = stores.connect(address)
        self.is_local = stores.is_local(self.system)

    def files(self) -> dict[str, str]:
        """The checksum of each file, by its path in the folder; without hidden ones.

        The one of a file that cannot be read is empty; one that is gone meanwhile is left out.
        """
        with stores.errors(self.address):
            if self.is_local and not self.system.isdir(self.root):
                raise UserError(f"{self.address} is no folder")
            self.system.invalidate_cache()
            found = (PurePosixPath(path).relative_to(self.root) for path in self.system.find(self.root))
            names = [str(path) for path in found if not any(part.startswith(".") for part in path.parts)]
        checksums = {name: self._checksum(name) for name in names}
        return {name: checksum for name, checksum in checksums.items() if checksum is not None}

    def _checksum(self, name: str) -> str | None:
        path = f"{self.root}/{name}"
        try:
            with stores.errors(self.address):
                return sha256(Path(path)) if self.is_local else str(self.system.checksum(path))
        except UserError as error:
            return None if isinstance(error.__context__, FileNotFoundError) else ""

    def get(self, name: str, file: Path) -> None:
        """Copy a file to this host; raises UserError if it cannot be read."""
        with stores.errors(self.address):
            self.system.get_file(f"{self.root}/{name}", str(file))

    def put(self, name: str, data: bytes) -> None:
        """Write a file whole: a reader finds the old one or the new one."""
        path = f"{self.root}/{name}"
        with stores.errors(self.address):
            if self.is_local:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                with replacing(Path(path)) as draft:
                    draft.write_bytes(data)
            else:  # a store shows an object when it is complete
                self.system.pipe_file(path, data)

    def state(self) -> dict[str, dict[str, str]]:
        """The record of the documents that earlier runs have translated into this folder."""
        with stores.errors(self.address):
            if not self.system.exists(path := f"{self.root}/{STATE}"):
                return {}
            try:
                return dict(json.loads(self.system.cat_file(path)))
            except ValueError as error:
                raise UserError(f"{self.address}/{STATE} is damaged ({error}): remove it") from None


def translate(
    source: str,
    target: str,
    model: str,
    print_line: PrintLine,
    options: Options | None = None,
    outcomes: dict[str, str] | None = None,
) -> dict[str, str]:
    """Translate the new and changed documents below `source` to the same paths below `target`.

    All by one version, which an alias in `model` names at the start. A file that cannot be read stops no
    other; the next run tries it again. Returns the outcome of each file, added to the `outcomes` of an
    earlier attempt. Raises UserError for a folder of this host or a version that does not exist,
    TransientError for a server that does not answer, StageError for a process that fails as a whole.
    """
    options = options or Options()
    outcomes = {} if outcomes is None else outcomes
    here, there = Folder(source), Folder(target)
    roots = [f"{folder.root}/" for folder in (here, there)]
    if type(here.system) is type(there.system) and (
        roots[0].startswith(roots[1]) or roots[1].startswith(roots[0])
    ):
        raise UserError(f"{here.address} and {there.address}: neither may be in the other")
    found = named_versions.find("model", model)
    version, digest = f"{found.name}/{found.version}", options.digest()
    files, done = here.files(), there.state()
    wanted = []
    for name, checksum in files.items():
        before = done.get(name, {})
        is_old = options.again and (before.get("version"), before.get("options")) != (version, digest)
        if PurePosixPath(name).suffix.lower() not in document_formats.ENDS:
            outcomes[name] = NO_DOCUMENT
        elif checksum and before.get("source") == checksum and not is_old:
            outcomes.setdefault(name, UNCHANGED)
        else:
            wanted.append(name)
    print_line(f"{len(wanted):,} of {len(files):,} files of {here.address} are to be translated by {version}")
    for names in _portions(sorted(wanted, key=lambda name: (_folder(name), name))):
        with tempfile.TemporaryDirectory(prefix="seq2seq-translate-") as folder:
            made, left_out, error = _translate(here, names, version, Path(folder), print_line, options)
            for name, file in made.items():
                there.put(name, file.read_bytes())
                done[name] = {"source": files[name], "version": version, "options": digest}
                outcomes[name] = LEFT_OUT if name in left_out else TRANSLATED
            if made:
                there.put(STATE, json.dumps(done, ensure_ascii=False, indent=1, sort_keys=True).encode())
        if error is not None:
            raise error
        outcomes.update(dict.fromkeys(set(names) - made.keys(), FAILED))
    return outcomes


def raise_for_failed(outcomes: Mapping[str, str]) -> None:
    """Raise UserError if a file could not be translated, or not wholly, after all others were."""
    failed = [name for name, outcome in outcomes.items() if outcome in (FAILED, LEFT_OUT)]
    if failed:
        tried = sum(outcome in (FAILED, LEFT_OUT, TRANSLATED) for outcome in outcomes.values())
        shown = ", ".join(failed[:10]) + (", ..." if len(failed) > 10 else "")
        raise UserError(f"{len(failed):,} of {tried:,} files are not wholly translated, see the log: {shown}")


def _portions(names: list[str]) -> Iterator[list[str]]:
    """Files of one folder each, so that their names differ."""
    for _, group in groupby(names, _folder):
        together = list(group)
        yield from (together[i : i + PORTION] for i in range(0, len(together), PORTION))


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _translate(
    here: Folder, names: list[str], version: str, folder: Path, print_line: PrintLine, options: Options
) -> tuple[dict[str, Path], set[str], Exception | None]:
    """The results of a process for some files: translations, those with records left out, its error."""
    inputs, outputs, record = folder / "in", folder / "out", folder / "outcome.json"
    inputs.mkdir()
    outputs.mkdir()
    copies: dict[str, Path] = {}
    for name in names:
        copy = inputs / PurePosixPath(name).name
        try:
            here.get(name, copy)
            copies[name] = copy
        except UserError as error:
            print_line(f"error: {error}")
    if not copies:
        return {}, set(), None
    arguments = ["translate", *map(str, copies.values()), "--output", str(outputs)]
    arguments += ["--model", f"models:/{version}", *options.arguments()]
    show: PrintLine = lambda line: print_line(line.replace(f"{inputs}/", ""))  # noqa: E731
    environment = {**project_path(), OUTCOME_FILE: str(record)}
    ended = Child("seq2seq", arguments, show, options.timeout, environment)
    made = {name: outputs / copy.name for name, copy in copies.items() if (outputs / copy.name).is_file()}
    if record.is_file():  # it has come to its end
        short = json.loads(record.read_text(encoding="utf-8"))
        return made, {name for name, copy in copies.items() if copy.name in short}, None
    return made, set(), _error(ended, options)


def _error(ended: Child, options: Options) -> Exception:
    """The error of a process that has not come to its end."""
    if ended.timed_out:
        limit = progress.duration(options.timeout or 0)
        return StageError("translate", "timeout", f"took longer than {limit}")
    if ended.status == Exit.TRANSIENT:
        return TransientError(ended.error)
    kind = "system" if disk.is_full(ended.error) else KINDS.get(ended.status, "bug")
    return StageError("translate", kind, ended.error)
