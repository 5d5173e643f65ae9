"""`python -m infra.supply audit REPORT|licences`: known faults and licences of the installed packages.

Why: an audit without an answer is no clean audit. pip-audit calls a package that its service does not have
"skipped" and ends with status 0, also where a mirror of PyPI has no advisories at all.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from seq2seq.common.exits import Exit

LOCK = Path(__file__).parents[1] / "constraints.txt"
PIN = re.compile(r"(?P<name>[a-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^ ;]+)")
UNKNOWN = "unknown"
LONGEST = 60  # characters of a licence; some packages give its whole text
SHOWN = 5  # names in a line


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.supply", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    audit_ = commands.add_parser("audit", help="summarise a report of pip-audit (JSON) about constraints.txt")
    audit_.add_argument("report", type=Path)
    commands.add_parser("licences", help="list the licences of the installed packages of constraints.txt")
    options = parser.parse_args(arguments)
    if options.command == "licences":
        return licences(names(LOCK))
    return audit(options.report, len(names(LOCK)))


def names(lock: Path) -> list[str]:
    """The packages of a lock file, one entry each."""
    found = (PIN.match(line) for line in lock.read_text("utf-8").splitlines())
    return sorted({match["name"] for match in found if match})


def audit(report: Path, wanted: int) -> int:
    """Print the known faults of the packages, and the packages without an answer."""
    try:
        entries = json.loads(report.read_text("utf-8"))["dependencies"]
    except (OSError, ValueError, KeyError):
        print(
            f"audit: the advisory service did not answer: none of {wanted} packages was looked up. "
            "Repeat `make audit` where PyPI can be reached",
            file=sys.stderr,
        )
        return Exit.TRANSIENT
    skipped = [entry["name"] for entry in entries if "skip_reason" in entry]
    answered = len(entries) - len(skipped)
    faults = [(entry, fault) for entry in entries for fault in entry.get("vulns", ())]
    for entry, fault in faults:
        fixed = ", ".join(fault["fix_versions"]) or "no version yet"
        names_ = ", ".join([fault["id"], *fault.get("aliases", ())])
        print(f"{entry['name']} {entry['version']}: {names_}; fixed in {fixed}")
    print(f"audit: {len(faults)} known faults in {answered} of {len(entries)} packages of {LOCK.name}")
    if skipped:
        more = f" and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else ""
        print(
            f"audit: the advisory service has no answer about {len(skipped)} packages: "
            f"{', '.join(skipped[:SHOWN])}{more}. A mirror of PyPI may have no advisories: repeat "
            "`make audit` with PyPI itself",
            file=sys.stderr,
        )
    if faults:
        return Exit.FAILED
    return Exit.TRANSIENT if not answered else Exit.DONE


def licences(packages: Iterable[str]) -> int:
    """Print each installed package with its version and licence, and how many have which."""
    counts: Counter[str] = Counter()
    absent = 0
    for name in packages:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            absent += 1  # of another system or extra
            continue
        licence = licence_of(found)
        counts[licence] += 1
        print(f"{name:32} {found.version:16} {licence}")
    print(f"\n{'licence':60} packages")
    for licence, count in counts.most_common():
        print(f"{licence:60} {count}")
    print(f"{absent} packages of {LOCK.name} are not installed here (other systems and extras)")
    return Exit.DONE


def licence_of(package: Distribution) -> str:
    """The licence that a package's metadata give: an expression, else classifiers, else free text."""
    fields = {key: package.metadata.get_all(key) or [] for key in ("License-Expression", "License")}
    if fields["License-Expression"]:
        return str(fields["License-Expression"][0])[:LONGEST]
    classified = [c for c in package.metadata.get_all("Classifier") or [] if c.startswith("License :: ")]
    named = [name for c in classified if (name := c.rpartition(" :: ")[2]) != "OSI Approved"]
    if named:
        return "; ".join(named)[:LONGEST]
    text = str(*fields["License"][:1]).strip()
    return text.splitlines()[0][:LONGEST] if text else UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
