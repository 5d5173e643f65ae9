"""The kinds of failure that callers of a stage distinguish.

Why: a scheduler retries transient failures and alerts a person for the others; a person may accept a failure
of quality, and no other. The texts go to logs, pages and chats and often contain an address or the message
of a library, so secrets are masked here.
"""

from __future__ import annotations

from typing import NamedTuple

from seq2seq.common.masking import mask


class UserError(ValueError):
    """Invalid input, parameters or names; the text has the value and the remedy."""

    def __init__(self, text: object = "") -> None:
        super().__init__(mask(str(text)))


class TransientError(RuntimeError):
    """The network, a server or the hub is unreachable: the same run may succeed later."""

    def __init__(self, text: object = "") -> None:
        super().__init__(mask(str(text)))


class Figure(NamedTuple):
    """A measured figure and the limit that it exceeds, as short texts: for alerts, tags and pages."""

    name: str
    value: str
    limit: str
    key: str  # the key of params.yaml, or the environment variable, that sets the limit
    remedy: str
    acceptable: bool = True  # whether a person can let it pass

    def __str__(self) -> str:
        return f"{self.name} is {self.value}, {self.key} allows {self.limit}"


class QualityError(UserError):
    """Data or a training beyond a limit of quality; `figure` names it, the text may have more."""

    def __init__(self, figure: Figure, text: str = "") -> None:
        # Keys and names are ours; values and remedies may have a text of the corpus or an address.
        value, limit, remedy = map(mask, (figure.value, figure.limit, figure.remedy))
        self.figure = figure._replace(value=value, limit=limit, remedy=remedy)
        super().__init__(text or f"{figure}; {figure.remedy}")

    def __reduce__(self) -> tuple[type[QualityError], tuple[Figure, str]]:
        return QualityError, (self.figure, str(self))


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its class, without text."""
    return (str(error) or type(error).__name__).splitlines()[0][:300]
