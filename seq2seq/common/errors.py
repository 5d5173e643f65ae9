"""The two kinds of failure that callers of a stage distinguish.

Why: a scheduler retries transient failures and alerts a person for the others. The texts go to logs, pages
and chats and often contain an address or the message of a library, so secrets are masked here.
"""

from seq2seq.common.masking import mask


class UserError(ValueError):
    """Invalid input, parameters or names; the text has the value and the remedy."""

    def __init__(self, text: object = "") -> None:
        super().__init__(mask(str(text)))


class TransientError(RuntimeError):
    """The network, a server or the hub is unreachable: the same run may succeed later."""

    def __init__(self, text: object = "") -> None:
        super().__init__(mask(str(text)))
