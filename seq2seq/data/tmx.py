"""Reads the units of TMX files, versions 1.1 to 1.4.

Why: TMX is the exchange format of translation memories, which Trados, memoQ, OmegaT and others export.
"""

from __future__ import annotations

from collections.abc import Mapping

from seq2seq.data.streams import Source
from seq2seq.data.xml_stream import Handler, Unit


class Tmx(Handler):
    """Each `tu` as a Unit with the text of its variants; `first` is the header's source language."""

    def __init__(self, file: Source) -> None:
        super().__init__(file)
        self.first = ""
        self._language = self._place = ""
        self._texts: list[tuple[str, str]] = []

    def start(self, name: str, parent: str, attributes: Mapping[str, str]) -> None:
        """Note the languages, and begin a unit or a text."""
        if name == "tu":
            self.number += 1
            identifier = attributes.get("tuid")
            self._place = self.place(identifier and f"tuid {identifier}")
            self._texts, self.fault = [], ""
        elif name == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang") or ""
        elif name == "seg" and parent == "tuv":
            self.collect()
        elif name == "header" and attributes.get("srclang", "*all*").lower() != "*all*":
            self.first = attributes["srclang"]

    def end(self, name: str, parent: str) -> None:
        """End a text or a unit."""
        if name == "seg" and parent == "tuv":
            self._texts.append((self._language, self.collected()))
        elif name == "tu":
            self.units.append(Unit(self.number, self._place, self._texts, fault=self.fault))
            self._texts = []
