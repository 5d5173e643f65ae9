"""`python -m seq2seq.report.drift`: the corpus compared with the champion's, in reports/drift.json.

Why: a changed corpus is detected before the costly training, not in the scores after it. The profile of the
champion's corpus is a file of the run that trained it. Without a champion, its profile or a server there is
nothing to compare, which is no failure.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from seq2seq.common import environment, params, paths, workspace
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.files import write_json
from seq2seq.data import drift
from seq2seq.tracking import records, registry


def write() -> None:
    """Write reports/drift.json and print its largest figure, or the reason why there is none."""
    name = params.load().register.name
    champion, note, moves = None, "", []
    try:
        champion, theirs = _champion(name)
        moves = drift.compare(json.loads(paths.PROFILE.read_text(encoding="utf-8")), theirs)
    except (TransientError, UserError) as error:
        note = str(error)
    except (KeyError, ValueError) as error:  # of another release
        note = f"the profiles cannot be compared: {type(error).__name__}: {error}"
    most = drift.largest(moves)
    digest = workspace.file_digest(paths.PROFILE)
    write_json(
        paths.DRIFT,
        {
            "name": name,
            "champion": champion,
            "profile": digest,
            "note": note,
            "largest": most and {"name": most.name, **most._asdict()},
            "moves": [{"name": move.name, **move._asdict()} for move in moves],
            # A person accepted the same corpus against the same champion before: an interrupted training.
            "accepted": _accepted(digest, champion),
        },
    )
    if most is None:
        print(f"drift: not measured: {note}")
    else:
        print(
            f"drift: against the corpus of {name} version {champion} {most.name} diverges most, by "
            f"{most.divergence:.2f} of 1: {most.change}"
        )


def _champion(name: str) -> tuple[str, dict[str, Any]]:
    """The champion's version and the profile of its corpus; raises UserError if there is none."""
    if not paths.PROFILE.is_file():
        raise UserError(f"{paths.PROFILE} is missing: `dvc repro tokenize` writes it")
    registry.check_exists()
    version = registry.version_by_alias(name, registry.CHAMPION)
    if version is None:
        raise UserError(f"{name} has no champion yet")
    text = records.file_of(version.run_id, paths.PROFILE.name)
    if text is None:
        raise UserError(f"the run of version {version.version} has no profile of its corpus")
    return version.version, json.loads(text)


def _accepted(profile: str, champion: str | None) -> list[Any]:
    try:
        before = json.loads(paths.DRIFT.read_text(encoding="utf-8"))
        same = (before["profile"], before["champion"]) == (profile, champion)
        return list(before["accepted"]) if same else []
    except (FileNotFoundError, ValueError, KeyError):
        return []


def main() -> int:
    """Write the comparison; returns the exit status."""
    environment.configure_process()
    try:
        write()
    except UserError as error:  # of params.yaml
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
