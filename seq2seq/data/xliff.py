"""Reads the translated segments of XLIFF files, versions 1.2 and 2.x, also those of Trados and memoQ.

Why: XLIFF is the exchange format of translation jobs. A finished job is a translation memory; its
segments that nobody has confirmed are not.
"""

from __future__ import annotations

from collections.abc import Mapping

from seq2seq.data.streams import Source
from seq2seq.data.xml_stream import Handler, Unit, fold

UNSTATED = ("source", "target")  # names of the languages of a file that states none
UNITS = {"trans-unit": "1.2", "segment": "2.x"}
CONFIRMED = {"Translated", "ApprovedTranslation", "ApprovedSignOff"}  # `conf` of Trados's sdlxliff


class Xliff(Handler):
    """Each `trans-unit` (1.2) or `segment` (2.x) as a Unit, or each segment marked in a trans-unit."""

    def __init__(self, file: Source) -> None:
        super().__init__(file)
        self.first = ""
        self._languages = UNSTATED
        self._unit: Mapping[str, str] = {}  # attributes of trans-unit, or of the unit around a segment
        self._state: str | None = None
        self._place = ""
        self._sides: dict[str, str] = {}
        self._segments: dict[str, dict[str, str]] = {}  # by side: text by number of the segment
        self._marks: list[tuple[str, int] | None] = []  # for each open `mrk`, a segment's number and start
        self._confirmed: dict[str, str] = {}  # state by number of the segment, in sdlxliff

    def start(self, name: str, parent: str, attributes: Mapping[str, str]) -> None:
        """Note the languages, and begin a unit or a side."""
        if name == "file" and "source-language" in attributes:
            self._name_languages(attributes["source-language"], attributes.get("target-language", ""))
        elif name == "xliff" and "srcLang" in attributes:
            self._name_languages(attributes["srcLang"], attributes.get("trgLang", ""))
        elif name == "unit":
            self._unit = attributes
        elif name in UNITS:
            self.number += 1
            if name == "trans-unit":
                self._unit = attributes
            identifier = self._unit.get("id")
            self._place = self.place(identifier and f"id {identifier}")
            self._state = attributes.get("state")
            self._sides, self._segments, self._confirmed, self.fault = {}, {}, {}, ""
        elif parent in UNITS and name in ("source", "target", "seg-source"):
            if name == "target":
                self._state = attributes.get("state", self._state)
            self._segments[name] = {}
            self._marks.clear()
            self.collect()
        elif name == "seg" and parent == "seg-defs":
            self._confirmed[attributes.get("id", "")] = attributes.get("conf", "")

    def start_inline(self, name: str, attributes: Mapping[str, str]) -> None:
        """Note where a marked segment begins."""
        if name == "mrk":
            is_segment = attributes.get("mtype") == "seg"
            self._marks.append((attributes.get("mid", ""), len(self.so_far())) if is_segment else None)

    def end(self, name: str, parent: str) -> None:
        """End a marked segment, a side or a unit."""
        if name == "mrk" and self.is_collecting() and self._marks:
            if mark := self._marks.pop():
                side = next(side for side in reversed(self.open) if side in self._segments)
                self._segments[side][mark[0]] = fold(self.so_far()[mark[1] :])
        elif parent in UNITS and name in ("source", "target", "seg-source"):
            self._sides[name] = self.collected()
        elif name in UNITS:
            self._end_unit()

    def _name_languages(self, source: str, target: str) -> None:
        if source.lower() == target.lower():  # a template, or a program that states no target
            self._languages = UNSTATED
        else:
            self._languages = source or UNSTATED[0], target or UNSTATED[1]
        self.first = self._languages[0]

    def _end_unit(self) -> None:
        marked = self._segments.get("seg-source")
        if not marked or not self._segments.get("target"):
            self._add(self._sides.get("source", ""), self._sides.get("target", ""), self._left_out())
            return
        self.number -= 1
        for segment, source in marked.items():
            self.number += 1
            state = self._confirmed.get(segment)
            unconfirmed = "not confirmed" if state is not None and state not in CONFIRMED else ""
            target = self._segments["target"].get(segment, "")
            self._add(source, target, self._left_out() or unconfirmed)

    def _add(self, source: str, target: str, left_out: str) -> None:
        texts = [*zip(self._languages, (source, target), strict=True)]
        reason = left_out if target or left_out.startswith("marked") else "not translated"
        self.units.append(Unit(self.number, self._place, texts, reason, self.fault))

    def _left_out(self) -> str:
        """The reason for which the unit is no finished translation; empty if it is one."""
        status = next((value for key, value in self._unit.items() if key.endswith(":status")), "")
        if self._unit.get("translate") == "no":
            return "marked translate=no"
        state = self._state or ""
        if state in ("new", "initial") or state.startswith("needs-"):
            return f"in state {state}"
        if status and "Confirmed" not in status and status != "Proofread":  # memoQ
            return f"in status {status}"
        if self._unit.get("approved") == "no" and not state and not status:
            return "not approved"
        return ""
