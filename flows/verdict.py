"""A verdict, and how people see it: on the screen, on Prefect's page, in a notice.

Why: whoever reads that a model was rejected wants the figure, the limit and a sentence it got wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flows import alerts
from flows.console import Screen
from seq2seq.common import paths, plain
from seq2seq.common.masking import mask
from seq2seq.gate.policy import GAIN, Criterion
from seq2seq.tracking.promotions import Entry

SENTENCES = 3  # shown where a model was rejected


@dataclass(frozen=True)
class Verdict:
    """promoted | kept | rejected | forced | unchanged, and why: what reports/verdict.json holds."""

    what: str
    reason: str
    name: str
    version: str
    champion: str | None  # the version that served before
    when: str  # ISO 8601, UTC
    who: str
    flow_run_id: str
    criteria: tuple[Criterion, ...]
    seconds: float
    origin: Mapping[str, str]  # tags of the version: what code, lock and run made it
    is_told: bool = False  # given earlier, and known to those who want to know

    def facts(self) -> dict[str, Any]:
        """What is written."""
        return {key: value for key, value in asdict(self).items() if key != "is_told"}

    def entry(self, grounds: str) -> Entry:
        """The verdict as the log has it; `grounds` is the digest of what it rests upon."""
        about = (self.name, self.what, self.champion, self.version, self.reason, self.when, self.who)
        return Entry(*about, grounds)

    def show(self, screen: Screen) -> None:
        """The closing line, and below it what failed, with figure and limit."""
        screen.closing("", "promote", self.what, self.seconds, self.reason)
        if self.what in ("rejected", "forced"):
            for failed in (c for c in self.criteria if c.ok is False and c.name != GAIN):
                screen.line(f"        {failed.name}: {failed.figure}; required: {failed.limit}")


def markdown(verdict: Verdict) -> str:
    """The verdict as an artifact of Prefect, without secrets."""
    lines = [f"**{verdict.what}**: {_shown(verdict.reason)}"]
    if verdict.criteria:
        lines += ["", "| criterion | | figure | limit |", "|---|---|---|---|"]
        marks = {True: "met", False: "**not met**", None: ""}
        for c in verdict.criteria:
            name, figure, limit = map(_shown, (c.name, c.figure, c.limit))
            lines.append(f"| {name} | {marks[c.ok]} | {figure} | {limit} |")
    if verdict.what in ("rejected", "kept") and (worst := list(regressions())):
        lines += ["", "Worse than the champion:"]
        for pair in worst:
            lines += ["", *(f"- {what}: {_shown(text)}" for what, text in pair.items())]
    return "\n".join(lines)


def _shown(text: str) -> str:
    # Masked first: addresses are none any more once Markdown's signs are escaped.
    return plain.markdown(mask(text))


def notice(flow: str, run: Any, verdict: Verdict) -> dict[str, str]:
    """What a webhook is told of a rejection, in a run that has a name and an id."""
    stays = f"version {verdict.champion} stays" if verdict.champion else "there is no champion"
    lines = [f"{flow}: {verdict.name} is rejected, {stays}: {verdict.reason}"]
    for pair in regressions():
        lines += ["", *(f"{what}: {text}" for what, text in pair.items())]
    remedy = f"{paths.REPORT.resolve()} says more; `{to_serve(verdict)}` has it serve all the same"
    return alerts.body("\n".join(lines), flow, run, "Rejected", "promote", "rejected", verdict.reason, remedy)


def to_serve(verdict: Verdict) -> str:
    """The command that makes a version champion, whatever was said of it, from any folder."""
    return f"seq2seq rollback --name {verdict.name} --to {verdict.version} --reason ..."


def regressions() -> Iterator[Mapping[str, str]]:
    """The sentences that lost most against the champion, in words."""
    if paths.EVIDENCE.is_file():
        evidence = json.loads(paths.EVIDENCE.read_text(encoding="utf-8"))
        for pair in evidence["regressions"][:SENTENCES]:
            yield {name: pair[name] for name in ("source", "reference", "champion", "challenger")}
