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
from seq2seq.tracking.registry import WAITING

SENTENCES = 3  # shown where a model was rejected


@dataclass(frozen=True)
class Verdict:
    """promoted | waiting | kept | rejected | forced | unchanged, with the reason: reports/verdict.json."""

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
    origin: Mapping[str, str]  # tags of the version: its code, lock and run
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
    """The alert about a verdict of a flow run."""
    stays = f"version {verdict.champion} stays" if verdict.champion else "there is no champion"
    report, outcome = f"{paths.REPORT.resolve()} has the details", verdict.outcome
    what, remedy = f"is {outcome}, {stays}", f"{report}; `{to_serve(verdict)}` makes it champion anyway"
    if outcome == WAITING:
        what, remedy = f"waits for approval, {stays}", f"{report}; `{to_serve(verdict)}` promotes it"
    elif outcome in ("promoted", "forced"):
        what = f"has a new champion, version {verdict.version} ({outcome})"
        remedy = f"{report}; `seq2seq rollback --name {verdict.name} --reason ...` goes back"
    lines = [f"{flow}: {verdict.name} {what}: {verdict.reason}"]
    for pair in regressions() if outcome == "rejected" else ():
        lines += ["", *(f"{name}: {text}" for name, text in pair.items())]
    state = outcome.capitalize()
    return alerts.body("\n".join(lines), flow, run, state, "promote", outcome, verdict.reason, remedy)


def to_serve(verdict: Verdict) -> str:
    """The command that makes a version champion, from any folder; unless it waits, against its verdict."""
    if verdict.outcome == WAITING:
        return f"seq2seq approve {verdict.version} --name {verdict.name} --reason ..."
    return f"seq2seq rollback --name {verdict.name} --to {verdict.version} --reason ..."


def regressions() -> Iterator[Mapping[str, str]]:
    """The sentences that lost most against the champion: source, reference and both translations."""
    if paths.EVIDENCE.is_file():
        evidence = json.loads(paths.EVIDENCE.read_text(encoding="utf-8"))
        for pair in evidence["regressions"][:SENTENCES]:
            yield {name: pair[name] for name in ("source", "reference", "champion", "challenger")}
