"""The result of each cell: a line of JSON, and the table of docs/crash-matrix.md made from them.

Why: the document shows results that were measured, with commit and date, and no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.crash_matrix import project
from infra.crash_matrix.cells import Cell

START = "<!-- made by `make crash-matrix` -->"
END = "<!-- end -->"
CLONES = re.compile(r"[^\s']*/seq2seq-crash-matrix-[^/]+/")  # of hosted cells
HEAD = "| fault | place | state after it | healed after | same weights | commit, date |"


@dataclass
class Result:
    """One cell's outcome."""

    cell: Cell
    state: str = ""
    problems: list[str] = field(default_factory=list)
    healed: float | None = None  # seconds of the run that healed it
    same_weights: bool = False
    skipped: str = ""
    total: float = 0.0  # seconds of the whole cell

    def record(self, commit: str, code: str) -> dict[str, Any]:
        """The line of JSON."""
        facts = {
            "cell": self.cell.name,
            "level": self.cell.level,
            "fault": self.cell.fault,
            "place": self.cell.place,
            "outcome": "skipped" if self.skipped else "failed" if self.problems else "healed",
            "state": _here(self.skipped or self.state),
            "problems": [*map(_here, self.problems)],
            "healed": self.healed,
            "same_weights": self.same_weights,
            "seconds": self.total,
        }
        when = datetime.now(UTC).isoformat(timespec="seconds")
        return facts | {"commit": commit, "code": code, "when": when}


def _here(text: str) -> str:
    """A text without this machine's folders."""
    return CLONES.sub("", text.replace(f"{project.ROOT}/", ""))


def load(file: Path) -> dict[str, dict[str, Any]]:
    """The newest record of each cell; a line cut short by a kill is left out."""
    found: dict[str, dict[str, Any]] = {}
    for line in file.read_text("utf-8").splitlines() if file.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        found[record["cell"]] = record
    return found


def append(file: Path, record: dict[str, Any]) -> None:
    """Add a record as one line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as output:
        output.write(json.dumps(record, ensure_ascii=False) + "\n")


def table(records: Iterable[dict[str, Any]], code: str, listed: int) -> str:
    """Markdown: the counts, and a table for each level."""
    every = list(records)
    counts = {name: sum(r["outcome"] == name for r in every) for name in ("healed", "failed", "skipped")}
    lines = [
        f"{len(every)} of {listed} cells have a result: "
        + ", ".join(f"{number} {name}" for name, number in counts.items())
        + "."
    ]
    for level in ("local", "hosted"):
        rows = [record for record in every if record["level"] == level]
        if rows:
            lines += ["", f"### {level.capitalize()}", "", HEAD, "|---|---|---|---|---|---|"]
            lines += [_row(record, code) for record in rows]
    return "\n".join(lines)


def _row(record: dict[str, Any], code: str) -> str:
    state = record["state"]
    healed = f"{record['healed']:.0f} s" if record["healed"] is not None else "–"
    if record["outcome"] == "failed":
        state, healed = f"{state} **Not healed: {'; '.join(record['problems'])}**", f"failed ({healed})"
    older = "" if record["code"] == code else " (older code)"
    skipped = record["outcome"] == "skipped"
    same = "skipped" if skipped else "yes" if record["same_weights"] else "**no**"
    cells = [record["fault"], record["place"], state, healed, same]
    cells.append(f"{record['commit']}{older}, {record['when'][:10]}")
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"


def write(page: Path, text: str) -> None:
    """Replace the part of the page between the two marks."""
    before, _, rest = page.read_text("utf-8").partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", "utf-8")
