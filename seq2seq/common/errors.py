"""The kinds of failure that somebody outside a stage has to tell apart.

Why: a scheduler retries what may pass by itself and wakes a person for the rest. Their texts go to logs,
pages and chats and often repeat an address or what another library wrote: secrets are masked here, once.
"""

from seq2seq.common.masking import mask


class UserError(ValueError):
    """Input, parameters or a name that cannot be used; the text names it and the remedy."""

    def __init__(self, text: object = "") -> None:
        super().__init__(mask(str(text)))


class TransientError(RuntimeError):
    """The network, a server or the hub did not answer: the same run may succeed later."""

    def __init__(self, text: object = "") -> None:
        super().__init__(mask(str(text)))
