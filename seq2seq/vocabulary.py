"""The subword vocabulary both languages share: SentencePiece and the special ids.

Why: it is the only door to SentencePiece, and the text normalisation that translation relies on
lives inside its model file, so that a model folder needs nothing else to read text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Literal

import sentencepiece as spm

from seq2seq.errors import UserError

PAD, UNK, BOS, EOS = range(4)
FILE = "vocabulary.model"
THREADS = 4  # fixed, because the trainer's sums depend on it
WORDS_FILE = "source_words.txt"
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def known_words(folder: Path) -> frozenset[str] | None:
    """The source words seen in training; None where their list was too long to keep."""
    path = folder / WORDS_FILE
    return frozenset(path.read_text(encoding="utf-8").split("\n")) if path.is_file() else None


class Vocabulary:
    """Text to ids and back. Ids never include bos or eos: whoever needs them adds them."""

    def __init__(self, model: bytes) -> None:
        self._processor = spm.SentencePieceProcessor(model_proto=model)
        self.size: int = self._processor.get_piece_size()
        # A character spelt in bytes has one leading byte (not 10xxxxxx): counting those counts it.
        self._leading_bytes = frozenset(
            piece
            for piece in range(self.size)
            if (match := BYTE_PIECE.fullmatch(self._processor.id_to_piece(piece)))
            and int(match[1], 16) & 0xC0 != 0x80
        )

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read the vocabulary of a folder (of the tokenize stage, or of a model)."""
        try:
            return cls((folder / FILE).read_bytes())
        except FileNotFoundError:
            raise UserError(f"{folder / FILE} is missing: not a complete model folder") from None

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without bos and eos."""
        return list(self._processor.encode(text))

    def encode_all(self, texts: list[str]) -> list[list[int]]:
        """Ids of many texts, in order."""
        return list(self._processor.encode(texts))

    def decode(self, ids: list[int]) -> str:
        """Text of ids; special ids vanish. decode(encode(x)) = normalise(x)."""
        return str(self._processor.decode(ids))

    def decode_all(self, ids: list[list[int]]) -> list[str]:
        """Texts of many id lists, in order."""
        return list(self._processor.decode(ids))

    def pieces(self, ids: list[int]) -> list[str]:
        """The written form of each id; U+2581 marks where a word begins."""
        return [self._processor.id_to_piece(piece) for piece in ids]

    def normalise(self, text: str) -> str:
        """The text as the model sees it."""
        # "\u2581" is SentencePiece's own sign for a space, and so reads as one.
        return str(self._processor.normalize(text)).replace("\u2581", " ").strip(" ")

    def characters_in_bytes(self, ids: list[int]) -> int:
        """How many characters of the encoded text have no piece of their own."""
        return sum(piece in self._leading_bytes for piece in ids)


def learn(
    sentences: Iterable[str],
    *,
    algorithm: Literal["unigram", "bpe"],
    size: int,
    character_coverage: float,
    normalization: str,
) -> tuple[bytes, int]:
    """Train SentencePiece on sentences; returns its model file and the vocabulary's size.

    The size is smaller than asked for where the corpus does not support more pieces, and larger
    where its characters alone need more: SentencePiece names the nearest feasible size itself.
    The trainer's result depends on nothing but its input: sampling is left to the caller.
    """
    kept = list(sentences)  # needed again for another size; the caller bounds their number
    asked = size
    for _ in range(4):
        model = BytesIO()
        try:
            spm.SentencePieceTrainer.train(
                sentence_iterator=_encodable(kept),
                model_writer=model,
                model_type=algorithm,
                vocab_size=size,
                character_coverage=character_coverage,
                normalization_rule_name=normalization,
                byte_fallback=True,
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                num_threads=THREADS,
                max_sentence_length=1 << 20,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            if (feasible := _feasible_size(str(error))) is None or feasible == size:
                raise UserError(
                    f"tokenize.vocabulary_size: {asked} pieces cannot be learnt from "
                    f"{len(kept):,} sentences: {error}"
                ) from None
            size = feasible
        else:
            return model.getvalue(), size
    raise UserError(f"tokenize.vocabulary_size: no feasible size found near {asked}")


def _encodable(sentences: list[str]) -> Iterator[str]:
    """The trainer reads lines: an empty one would end its input early."""
    return (sentence for sentence in sentences if sentence.strip())


def _feasible_size(message: str) -> int | None:
    """The size that SentencePiece's complaint asks for."""
    if match := re.search(r"too high \(\d+\)\. Please set it to a value <= (\d+)", message):
        return int(match[1])
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return int(match[1]) + 1
    return None
