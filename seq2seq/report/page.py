"""`python -m seq2seq.report.page`: writes report and model card, reports/{report.html,card.md}.

Why: readers can check a verdict by each criterion's figure, the sentences that got worse, and the origin of
data and code. Both documents are written from the files on disk; a section without data is left out. The
page loads nothing from the network, runs no script, and escapes all texts of the corpus.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from seq2seq.common import environment, params, paths
from seq2seq.common.errors import UserError
from seq2seq.common.files import write_atomically
from seq2seq.report import charts, context, model_card

TEMPLATES = Path(__file__).with_name("templates")
SHOWN_HITS, SHOWN_DROPPED = 10, 5  # per set and kind; per reason
SHOWN_FILES, LISTED_FILES = 100, 20  # on the page; in the card


def write() -> None:
    """Write page and card; raises UserError for an unreadable params.yaml or report file."""
    found = context.build_context(params.load())
    paths.REPORTS.mkdir(parents=True, exist_ok=True)
    write_atomically(paths.REPORT, html(found))
    write_atomically(paths.CARD, markdown(found))
    print(f"report: {paths.REPORT} ({paths.REPORT.stat().st_size / 1024:,.0f} KB), {paths.CARD}")


def html(found: Mapping[str, Any]) -> str:
    """The page; all inserted values are escaped."""
    return _templates().get_template("report.html.j2").render(found)


def markdown(found: Mapping[str, Any]) -> str:
    """The card: metadata as YAML, then Markdown; all inserted values are escaped for Markdown."""
    jinja = _templates().overlay(autoescape=False, finalize=_escaped, keep_trailing_newline=True)
    return model_card.front_matter(found) + jinja.get_template("card.md.j2").render(found)


def _escaped(value: Any) -> Any:
    return value if isinstance(value, Markup) else model_card.escape(str(value))


@cache
def _templates() -> Environment:
    """The environment of the templates, with their filters; an undefined name is an error."""
    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    jinja.filters |= {one.__name__: one for one in (figure, signed, chance, percent, words, moment, code)}
    jinja.globals |= {"charts": charts, "SHOWN_HITS": SHOWN_HITS, "SHOWN_DROPPED": SHOWN_DROPPED}
    jinja.globals |= {"SHOWN_FILES": SHOWN_FILES, "LISTED_FILES": LISTED_FILES}
    return jinja


def figure(value: float | None, digits: int = 1) -> str:
    """A number with separators; a dash for None."""
    if value is None:
        return "–"
    if not charts.is_number(value):
        return "NaN"
    rounded = round(value, digits) + 0  # never minus zero
    return f"{rounded:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    """A difference, always with a sign."""
    if value is None or not charts.is_number(value):
        return figure(value)
    return f"{'−' if value < 0 else '+'}{figure(abs(value), digits)}"


def chance(p: float | None) -> str:
    """A p-value with its relation: "= 0.042", "< 0.001"."""
    if p is None or not charts.is_number(p):
        return figure(p)
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def percent(share: float | None) -> str:
    """0.925 as "92.5 %"; only 1.0 is "100 %", and only 0.0 is "0 %"."""
    if share is None or not charts.is_number(share):
        return figure(share)
    text = f"{100 * share:.1f}".removesuffix(".0")
    if text == "100" and share < 1:
        text = "> 99.9"
    elif text == "0" and share > 0:
        text = "< 0.1"
    return f"{text} %"


def words(name: str) -> str:
    """The name of a column, reason or check as words."""
    return name.replace("_", " ")


def moment(when: str) -> str:
    """An ISO 8601 time as a date and time in UTC."""
    return f"{datetime.fromisoformat(when).astimezone(UTC):%-d %B %Y, %H:%M} UTC"


def code(text: str) -> Markup:
    """A code span of the card."""
    return Markup(model_card.code(text))


def main() -> int:
    """Write page and card; returns the exit status."""
    environment.configure_process()
    try:
        write()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
