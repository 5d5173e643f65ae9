"""Filters of the package OpusFilter, by name: an optional part of `clean`.

Why: OpusFilter (Aulamo et al. 2020) has filters that this project does not. Score and decision are the
package's own; it is imported only where a filter is named.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from seq2seq.common.errors import UserError

KEY = "clean.opusfilter"
REASON = "opusfilter"  # in reports, of pairs that are dropped
INSTALL = "`pip install -c constraints.txt -e '.[opusfilter]'` installs it, and [] uses no filter of it"

Wanted = Sequence[Mapping[str, Mapping[str, Any] | None]]


class OpusFilters:
    """Filters of the package with their options; a pair passes if all accept it."""

    def __init__(self, wanted: Wanted) -> None:
        self._filters = [_filter(name, options or {}) for one in wanted for name, options in one.items()]

    def drops(self, source: str, target: str) -> bool:
        """Whether a filter rejects a pair."""
        pair = (source, target)
        return any(not one.accept(next(iter(one.score([pair])))) for one in self._filters)


def _filter(name: str, options: Mapping[str, Any]) -> Any:
    """A filter of that name; raises UserError for a missing package, an unknown name or wrong options."""
    try:
        from opusfilter import FilterABC
        from opusfilter import filters as module
    except ModuleNotFoundError as error:
        raise UserError(f"{KEY}: {name} needs the package {error.name}: {INSTALL}") from None
    known = {
        key: kind
        for key, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, FilterABC) and kind is not FilterABC
    }
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise UserError(f"{KEY}: no filter {name!r}{hint}; there are: {', '.join(sorted(known))}")
    if unknown := sorted(set(options) - _options(known[name])):
        raise UserError(f"{KEY}: {name} has no option {unknown[0]!r}; it has: {_listed(known[name])}")
    try:
        return known[name](**options)
    except Exception as error:  # the package raises its own, ValueError, TypeError and ImportError
        raise UserError(f"{KEY}: {name} cannot be used with {dict(options)}: {error}") from None


def _options(kind: Any) -> set[str]:
    """The options of a filter: the named arguments of its constructors."""
    names: set[str] = set()
    for base in kind.__mro__:
        if (made := vars(base).get("__init__")) is not None and hasattr(made, "__code__"):
            code = made.__code__
            names |= {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
    return names - {"self"}


def _listed(kind: Any) -> str:
    return ", ".join(sorted(_options(kind)))
