"""Suites of behaviour checks: numbers are kept, names are copied, no phrase is repeated.

Why: a model with a higher BLEU may have lost an ability that no average shows. A suite is a YAML file: the
checks, and the share of cases of each that must pass. This module builds the cases and judges the
translations; the caller translates all sources at once.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from pydantic import ValidationError, field_validator, model_validator
from ruamel.yaml.error import YAMLError

from seq2seq.common.errors import UserError
from seq2seq.common.params import round_trip_yaml
from seq2seq.common.schema import Seed
from seq2seq.data.corpus import Pair
from seq2seq.gate.checks import AnyCheck, Case, Check, Strict

TEAM_CASES = "cases"  # name of the check of the team's own sentences
FAILURES = 5  # shown per check


class Failure(TypedDict):
    """A case that failed, as the report shows it."""

    source: str
    translation: str
    why: str


class Result(TypedDict):
    """The result of a check; `ok` is None where there are too few cases for the threshold.

    With a champion: `lost` counts the groups of cases of which this model fails more than the champion,
    `gained` those of which it fails fewer; p is that of the exact two-sided sign test.
    """

    check: str
    cases: int
    passed: int
    share: float | None
    threshold: float
    ok: bool | None
    failures: list[Failure]
    champion_share: float | None
    lost: int | None
    gained: int | None
    p: float | None


class Expected(Strict):
    """A sentence of the team's own, and one condition on its translation."""

    source: str
    equals: str | None = None
    contains: str | None = None
    matches: str | None = None  # a regular expression, anywhere in it

    @field_validator("matches")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"should be a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _one_thing(self) -> Expected:
        if [self.equals, self.contains, self.matches].count(None) != 2:
            raise ValueError("should have one of equals, contains, matches")
        return self

    def failure(self, translation: str) -> str:
        """The reason why a translation fails; empty if it passes."""
        if self.equals is not None:
            return "" if translation == self.equals else f"it should be {self.equals!r}"
        if self.contains is not None:
            return "" if self.contains in translation else f"it should contain {self.contains!r}"
        return "" if re.search(str(self.matches), translation) else f"it should match {self.matches!r}"


class TeamCases(Check):
    """The team's own sentences, with the translations that they must get."""

    sentences: list[Expected]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        yield from map(Case, dict.fromkeys(sentence.source for sentence in self.sentences))

    def _failure(self, case: Case, translations: Mapping[str, str]) -> str:
        expected = (sentence for sentence in self.sentences if sentence.source == case.source)
        return "; ".join(filter(None, (one.failure(translations[case.source]) for one in expected)))


class Suite(Strict):
    """Checks with cases from an evaluation set, and the team's own sentences, which must all pass."""

    seed: Seed  # of the random choice of cases and changes
    checks: list[AnyCheck]
    cases: list[Expected]

    @field_validator("checks")
    @classmethod
    def _each_once(cls, value: list[AnyCheck]) -> list[AnyCheck]:
        names = [check.check for check in value]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"names {twice} twice: a verdict identifies a check by its name")
        return value

    def build_cases(self, pairs: Sequence[Pair]) -> SuiteRun:
        """The checks with their cases from an evaluation set; deterministic."""
        size = max(len(self.cases), 1)
        team = TeamCases(
            check=TEAM_CASES, threshold=1.0, max_cases=size, min_sentences=1, sentences=self.cases
        )
        checks: list[Check] = [*self.checks, *([team] if self.cases else [])]
        return SuiteRun([(c, c.cases(pairs, random.Random(f"{self.seed} {c.check}"))) for c in checks])


class SuiteRun(NamedTuple):
    """The checks of a suite, each with its cases."""

    checks: list[tuple[Check, list[Case]]]

    def sources(self) -> list[str]:
        """All sources that must be translated, each once."""
        wanted = (text for _, cases in self.checks for case in cases for text in sorted(case.sources))
        return list(dict.fromkeys(wanted))

    def judge(self, translations: Mapping[str, str], champion: Mapping[str, str] | None) -> list[Result]:
        """The result of each check; a case whose translation is missing fails."""
        return [_result(check, cases, translations, champion) for check, cases in self.checks]


def load(path: Path) -> Suite:
    """Read a suite; raises UserError with file, key, value and allowed values."""
    try:
        document = round_trip_yaml().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: promote.behaviour names a suite, or null for none") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    try:
        return Suite.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(_explain(e) for e in error.errors())
        raise UserError(f"{path} cannot be used: {problems}") from None


def sign_test(lost: int, gained: int) -> float:
    """The p-value of the exact two-sided sign test."""
    throws, fewer = lost + gained, min(lost, gained)
    return float(min(1.0, sum(comb(throws, k) for k in range(fewer + 1)) / 2 ** (throws - 1)))


def _result(
    check: Check, cases: Sequence[Case], translations: Mapping[str, str], champion: Mapping[str, str] | None
) -> Result:
    failures = [check.failure(case, translations) for case in cases]
    groups = _by_group(cases, failures)
    passed = failures.count("")
    result = Result(
        check=check.check,
        cases=len(cases),
        passed=passed,
        share=_share(failures),
        threshold=check.threshold,
        ok=passed / len(cases) >= check.threshold if len(groups) >= check.min_sentences else None,
        failures=[
            Failure(source=case.source, translation=translations.get(case.source, ""), why=why)
            for case, why in zip(cases, failures, strict=True)
            if why
        ][:FAILURES],
        champion_share=None,
        lost=None,
        gained=None,
        p=None,
    )
    if champion is not None:
        theirs = [check.failure(case, champion) for case in cases]
        before = _by_group(cases, theirs)
        lost = sum(groups[group] > before[group] for group in groups)
        gained = sum(groups[group] < before[group] for group in groups)
        p = sign_test(lost, gained)
        result |= {"champion_share": _share(theirs), "lost": lost, "gained": gained, "p": p}
    return result


def _by_group(cases: Sequence[Case], failures: Sequence[str]) -> dict[str, int]:
    """The number of failed cases per group."""
    failed = dict.fromkeys((case.group for case in cases), 0)
    for case, failure in zip(cases, failures, strict=True):
        failed[case.group] += bool(failure)
    return failed


def _share(failures: Sequence[str]) -> float | None:
    return round(failures.count("") / len(failures), 4) if failures else None


def _explain(error: Any) -> str:
    """One line for one pydantic error: the place, the value, the allowed values."""
    where = ""
    for part in error["loc"]:
        where += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    where, what = where.lstrip(".") or "the file", error["input"]
    match error["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key"
        case "missing":
            return f"{where}: missing"
        case "union_tag_invalid":
            return f"{where}: no check {error['ctx']['tag']!r}; there are: {error['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"{where}: has no key `check`"
        case "value_error":
            return f"{where}: {error['ctx']['error']}"
        case _:
            return f"{where}: {what!r} is not allowed, it {error['msg'].removeprefix('Input ')}"
