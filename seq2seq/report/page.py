"""`python -m seq2seq.report.page`: the page and the card about a model, reports/{report.html,card.md}.

Why: a verdict is believed by those who see what it rests on: each criterion's figure, the sentences
that got worse, and where data and code came from. Both are written from what lies on disk, so that
they tell of an old run as of the last one; what is not there leaves its section out. The page asks
the network for nothing and runs no script, and any text of the corpus is harmless in it.
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
from seq2seq.report import charts, context, model_card

TEMPLATES = Path(__file__).with_name("templates")
SHOWN_HITS, SHOWN_DROPPED = 10, 5  # of each set and kind; of each reason
SHOWN_FILES, LISTED_FILES = 100, 20  # on the page; in the card


def write() -> None:
    """Write the page and the card; raises UserError for params.yaml or a file that cannot be read."""
    known = context.gather(params.load())
    paths.REPORTS.mkdir(parents=True, exist_ok=True)
    paths.REPORT.write_text(html(known), encoding="utf-8")
    paths.CARD.write_text(markdown(known), encoding="utf-8")
    print(f"report: {paths.REPORT} ({paths.REPORT.stat().st_size / 1024:,.0f} KB), {paths.CARD}")


def html(known: Mapping[str, Any]) -> str:
    """The page; everything that templates insert is escaped."""
    return _templates().get_template("report.html.j2").render(known)


def markdown(known: Mapping[str, Any]) -> str:
    """The card: metadata as YAML, then Markdown; what is inserted there is escaped for Markdown."""
    room = _templates().overlay(autoescape=False, finalize=_escaped, keep_trailing_newline=True)
    return model_card.front_matter(known) + room.get_template("card.md.j2").render(known)


def _escaped(value: Any) -> Any:
    return value if isinstance(value, Markup) else model_card.escape(str(value))


@cache
def _templates() -> Environment:
    """The folder of templates with what all of them use; an unknown name in one is an error."""
    room = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    room.filters |= {one.__name__: one for one in (figure, signed, chance, percent, told, moment, code)}
    room.globals |= {"charts": charts, "SHOWN_HITS": SHOWN_HITS, "SHOWN_DROPPED": SHOWN_DROPPED}
    room.globals |= {"SHOWN_FILES": SHOWN_FILES, "LISTED_FILES": LISTED_FILES}
    return room


def figure(value: float | None, digits: int = 1) -> str:
    """A number as people read it; what is not known is a dash."""
    if value is None:
        return "–"
    if not charts.is_number(value):
        return "NaN"
    rounded = round(value, digits) + 0  # never minus zero
    return f"{rounded:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    """A difference: always with its sign."""
    if value is None or not charts.is_number(value):
        return figure(value)
    return f"{'−' if value < 0 else '+'}{figure(abs(value), digits)}"


def chance(p: float | None) -> str:
    """A p-value with its relation: "= 0.042", "< 0.001"."""
    if p is None or not charts.is_number(p):
        return figure(p)
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def percent(share: float | None) -> str:
    """0.925 as "92.5 %"; only all of them are 100 %, and only none are 0 %."""
    if share is None or not charts.is_number(share):
        return figure(share)
    text = f"{100 * share:.1f}".removesuffix(".0")
    if text == "100" and share < 1:
        text = "> 99.9"
    elif text == "0" and share > 0:
        text = "< 0.1"
    return f"{text} %"


def told(name: str) -> str:
    """The name of a column or reason as words."""
    return name.replace("_", " ")


def moment(when: str) -> str:
    """An ISO 8601 time as people write it, in UTC."""
    return f"{datetime.fromisoformat(when).astimezone(UTC):%-d %B %Y, %H:%M} UTC"


def code(text: str) -> Markup:
    """A code span of the card."""
    return Markup(model_card.code(text))


def main() -> int:
    """Write both; returns the exit status."""
    environment.prepare()
    try:
        write()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
