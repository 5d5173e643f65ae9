"""A verdict, and its three forms: on the screen, on Prefect's page, in an alert.

Why: a rejection is understood by the figure, its limit and a sentence that got worse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flows import alerts
from flows.console import Console
from seq2seq.common import paths, plain
from seq2seq.common.masking import mask
from seq2seq.gate.policy import GAIN, Criterion
from seq2seq.tracking.promotions import Entry

SENTENCES = 3  # shown where a model was rejected


@dataclass(frozen=True)
class Verdict:
    """promoted | kept | rejected | forced | unchanged, with the reason; written as reports/verdict.json."""

    outcome: str
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
    notified: bool = False  # given earlier, and an alert was sent

    def facts(self) -> dict[str, Any]:
        """The content of reports/verdict.json."""
        return {key: value for key, value in asdict(self).items() if key != "notified"}

    def entry(self, key: str) -> Entry:
        """The verdict as an entry of the promotion log; `key` is the digest of its inputs."""
        about = (self.name, self.outcome, self.champion, self.version, self.reason, self.when, self.who)
        return Entry(*about, key)

    def show(self, screen: Console) -> None:
        """Print the closing line, and below it each failed criterion with figure and limit."""
        screen.stage_line("", "promote", self.outcome, self.seconds, self.reason)
        if self.outcome in ("rejected", "forced"):
            for failed in (c for c in self.criteria if c.ok is False and c.name != GAIN):
                screen.print(f"        {failed.name}: {failed.figure}; required: {failed.limit}")


def markdown(verdict: Verdict) -> str:
    """The verdict as an artifact of Prefect, without secrets."""
    lines = [f"**{verdict.outcome}**: {_shown(verdict.reason)}"]
    if verdict.criteria:
        lines += ["", "| criterion | | figure | limit |", "|---|---|---|---|"]
        marks = {True: "met", False: "**not met**", None: ""}
        for c in verdict.criteria:
            name, figure, limit = map(_shown, (c.name, c.figure, c.limit))
            lines.append(f"| {name} | {marks[c.ok]} | {figure} | {limit} |")
    if verdict.outcome in ("rejected", "kept") and (worst := list(regressions())):
        lines += ["", "Worse than the champion:"]
        for pair in worst:
            lines += ["", *(f"- {name}: {_shown(text)}" for name, text in pair.items())]
    return "\n".join(lines)


def _shown(text: str) -> str:
    # Masked first: an address is not recognised once Markdown's characters are escaped.
    return plain.markdown(mask(text))


def notice(flow: str, run: Any, verdict: Verdict) -> dict[str, str]:
    """The alert about a rejection in a flow run."""
    stays = f"version {verdict.champion} stays" if verdict.champion else "there is no champion"
    lines = [f"{flow}: {verdict.name} is rejected, {stays}: {verdict.reason}"]
    for pair in regressions():
        lines += ["", *(f"{name}: {text}" for name, text in pair.items())]
    remedy = f"{paths.REPORT.resolve()} has the details; `{to_serve(verdict)}` makes it champion anyway"
    return alerts.body("\n".join(lines), flow, run, "Rejected", "promote", "rejected", verdict.reason, remedy)


def to_serve(verdict: Verdict) -> str:
    """The command that makes a version champion whatever its verdict is, from any folder."""
    return f"seq2seq rollback --name {verdict.name} --to {verdict.version} --reason ..."


def regressions() -> Iterator[Mapping[str, str]]:
    """The sentences that lost most against the champion: source, reference and both translations."""
    if paths.EVIDENCE.is_file():
        evidence = json.loads(paths.EVIDENCE.read_text(encoding="utf-8"))
        for pair in evidence["regressions"][:SENTENCES]:
            yield {name: pair[name] for name in ("source", "reference", "champion", "challenger")}
