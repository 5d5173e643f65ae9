"""A document on the server belongs to the version that translates it."""

from types import SimpleNamespace
from typing import Any

from seq2seq.serving.document_work import _for_its_version


def test_a_version_that_changes_meanwhile_gets_the_document_in_its_form():
    translator: Any = SimpleNamespace(protects=False)

    def translate(protects: bool) -> str:
        translator.protects = True  # another version has become the current one, and has translated
        return f"protects: {protects}"

    assert _for_its_version(translator, translate) == "protects: True"
    assert _for_its_version(translator, translate) == "protects: True"
