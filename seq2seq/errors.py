"""The kinds of failure that somebody outside a stage has to tell apart.

Why: a scheduler retries what may pass by itself and wakes a person for the rest.
"""


class UserError(ValueError):
    """Input, parameters or a name that cannot be used; the text names it and the remedy."""


class TransientError(RuntimeError):
    """The network, a server or the hub did not answer: the same run may succeed later."""
