"""Train, measure, register and use an LSTM translator with attention."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seq2seq.inference.translator import Translator as Translator

__all__ = ["Translator"]


def __getattr__(name: str) -> Any:
    """Import torch only for those who translate."""
    if name == "Translator":
        from seq2seq.inference.translator import Translator

        return Translator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
