"""The cells of the crash matrix: which fault, in which place, on which level.

Why: a list that can be read and counted; the modules beside it carry the faults out and check what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("ingest", "clean", "tokenize", "train", "evaluate", "register")
PLACES = (*STAGES, "promote")
ROLES = ("stage", "dvc", "flow")
SIGNALS = ("SIGKILL", "SIGTERM")
# Each stops one stage in the middle of what it writes.
POINTS = {
    "ingest": ("open", "data/raw/grammar/source.json", 1),
    "clean": ("open", "reports/dropped.json", 1),
    "tokenize": ("open", "data/tokens/validation.source.ids", 1),
    # The second checkpoint: the first one is renamed, the new one is not in place.
    "train": ("os.rename", ".checkpoints/", 3),
    "evaluate": ("open", "reports/segments.jsonl", 1),
    # The version is made, its record is not written.
    "register": ("open", "reports/registration.json", 1),
    "promote": ("open", "reports/evidence.json", 1),
}
DECISION = ("open", "/verdict.json", 3)  # the third copy: the log has an open entry, no alias has moved
FULL = {"ingest": "data/raw", "tokenize": ".dvc/cache", "train": ".checkpoints", "register": "mlruns"}
FULL_PREFECT = "disk full for Prefect"  # of a run with a server of its own
JUMPS = {"clock 1 day ahead": 86_400, "clock 1 day back": -86_400}  # seconds
AWAY = 60.0  # seconds
FULL_DATABASE = "disk full for the database"
CI = frozenset(  # that the slow ring of the tests runs
    {
        *("local/SIGKILL stage/train", "local/SIGKILL dvc/ingest", "local/SIGKILL flow/register"),
        *("local/SIGKILL all/tokenize", "local/disk full/tokenize", "local/SIGTERM stage/evaluate"),
        *("local/SIGTERM flow/train", "local/two runs at once/promote", "local/empty record of DVC/train"),
        *("local/folder removed/train", "local/empty record of DVC/clean", "local/SIGKILL flow/promote"),
    }
)


@dataclass(frozen=True)
class Cell:
    """One fault in one place; `kind` is the fault without its signal."""

    level: str  # local: `seq2seq run` and its own files; hosted: the team's servers
    fault: str
    place: str

    @property
    def name(self) -> str:
        """A unique name, as in the results."""
        return f"{self.level}/{self.fault}/{self.place}"


def local() -> list[Cell]:
    """All cells without servers, the broad ones first."""
    found = []
    for place in ("train", "register", "ingest", "tokenize", "clean", "evaluate", "promote"):
        for role in ROLES:
            if place == "promote" and role == "dvc":
                continue  # DVC has no part in it
            found += [Cell("local", f"{signal} {role}", place) for signal in SIGNALS]
        found.append(Cell("local", "SIGKILL all", place))
    found += [Cell("local", "two runs at once", place) for place in ("train", "promote")]
    found += [Cell("local", "disk full", place) for place in FULL]
    found.append(Cell("local", FULL_PREFECT, "train"))
    found += [Cell("local", "SIGKILL prefect", place) for place in ("train", "promote")]
    found += [Cell("local", "folder removed", place) for place in ("tokenize", "train")]
    found += [Cell("local", "empty record of DVC", place) for place in ("clean", "train")]
    found += [Cell("local", fault, place) for fault in JUMPS for place in ("train", "promote")]
    return found


def hosted() -> list[Cell]:
    """All cells with the team's servers."""
    found = [Cell("hosted", f"SIGKILL {role}", "train") for role in ("flow", "worker", "stage", "dvc")]
    for server in ("mlflow", "database", "store", "prefect"):
        found.append(Cell("hosted", f"SIGKILL {server}", "train"))
    found += [Cell("hosted", "cancelled by the API", place) for place in ("train", "tokenize")]
    found += [Cell("hosted", "reboot", "train"), Cell("hosted", "SIGKILL worker and flow", "train")]
    found += [Cell("hosted", "flow run deleted", "train"), Cell("hosted", "two runs at once", "train")]
    found += [Cell("hosted", f"{server} away {AWAY:.0f} s", "train") for server in ("mlflow", "store")]
    found += [Cell("hosted", f"{server} silent {AWAY:.0f} s", "train") for server in ("mlflow", "prefect")]
    found += [Cell("hosted", f"{server} away {AWAY:.0f} s", "train") for server in ("database", "prefect")]
    found.append(Cell("hosted", FULL_DATABASE, "train"))
    found += [Cell("hosted", f"SIGKILL {server}", "register") for server in ("mlflow", "store", "database")]
    found.append(Cell("hosted", f"mlflow away {AWAY:.0f} s", "register"))
    return found


def select(wanted: str) -> list[Cell]:
    """`all`, `local`, `hosted`, `ci`, or those whose names contain one of the texts between commas."""
    every = [*local(), *hosted()]
    if wanted in ("local", "hosted"):
        return [cell for cell in every if cell.level == wanted]
    if wanted == "ci":
        return [cell for cell in every if cell.name in CI]
    return [cell for cell in every if wanted == "all" or any(text in cell.name for text in wanted.split(","))]
