"""The subword vocabulary shared by both languages: SentencePiece and the special ids.

Why: SentencePiece's model files include the text normalisation, so that a model folder needs nothing else
to encode text. A model file has one normalisation rule; sides with different rules have a file each, with
the same pieces and ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

import sentencepiece as spm

from seq2seq.common.errors import UserError
from seq2seq.data.placeholders import SYMBOLS

PAD, UNK, BOS, EOS = range(4)
FILE = "vocabulary.model"
TARGET_FILE = "target.model"  # the same pieces with the target's rule, if it differs
THREADS = 4  # fixed, because the trainer's sums depend on it
WORDS_FILE = "source_words.txt"
PARENT_WORDS_FILE = "parent_words.txt"  # of the version whose vocabulary was taken over
BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def known_words(folder: Path) -> frozenset[str] | None:
    """The source words of the training data; None if their list was too long to store."""
    path = folder / WORDS_FILE
    return frozenset(path.read_text(encoding="utf-8").split("\n")) if path.is_file() else None


Side = Literal["source", "target"]


class Vocabulary:
    """Text to ids and back; sides differ in normalisation only. Ids never include bos or eos."""

    def __init__(self, model: bytes, target: bytes | None = None) -> None:
        self._processor = spm.SentencePieceProcessor(model_proto=model)
        other = self._processor if target is None else spm.SentencePieceProcessor(model_proto=target)
        self._of = {"source": self._processor, "target": other}
        self.size: int = self._processor.get_piece_size()
        # A character spelt in bytes has exactly one leading byte (not 10xxxxxx).
        self._leading_bytes = frozenset(
            piece
            for piece in range(self.size)
            if (match := BYTE_PIECE.fullmatch(self._processor.id_to_piece(piece)))
            and int(match[1], 16) & 0xC0 != 0x80
        )

        ids = [self._processor.piece_to_id(symbol) for symbol in SYMBOLS]
        self.symbols: list[int] = (
            [] if UNK in ids else ids
        )  # of placeholders.SYMBOLS, if training masked spans

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read the vocabulary of a folder (of the tokenize stage, or of a model)."""
        target = folder / TARGET_FILE
        try:
            return cls((folder / FILE).read_bytes(), target.read_bytes() if target.is_file() else None)
        except FileNotFoundError:
            raise UserError(f"{folder / FILE} is missing: not a complete model folder") from None

    def encode(self, text: str, side: Side = "source") -> list[int]:
        """Ids of a text, without bos and eos."""
        return list(self._of[side].encode(text))

    def encode_all(
        self, texts: list[str], side: Side = "source", threads: int | None = None
    ) -> list[list[int]]:
        """Ids of many texts, in order; by `threads`, or one for each processor."""
        return list(self._of[side].encode(texts, num_threads=threads))

    def decode(self, ids: list[int]) -> str:
        """Text of ids, without special ids. decode(encode(x, side)) = normalise(x, side)."""
        return str(self._processor.decode(ids))

    def decode_all(self, ids: list[list[int]], threads: int | None = None) -> list[str]:
        """Texts of many id lists, in order; by `threads`, or one for each processor."""
        return list(self._processor.decode(ids, num_threads=threads))

    def pieces(self, ids: list[int]) -> list[str]:
        """The piece of each id; U+2581 marks the beginning of a word."""
        return [self._processor.id_to_piece(piece) for piece in ids]

    def normalise(self, text: str, side: Side = "source") -> str:
        """The text after normalisation; no translation can contain more of a target than this."""
        return self.normalise_all([text], side)[0]

    def normalise_all(self, texts: list[str], side: Side = "source") -> list[str]:
        """Many texts after normalisation, in order."""
        # "\u2581" is SentencePiece's sign for a space.
        normalised = self._of[side].normalize(texts)
        return [text.replace("\u2581", " ").strip(" ") for text in normalised]

    def characters_in_bytes(self, ids: Iterable[int]) -> int:
        """The number of characters of the encoded text without a piece of their own."""
        return sum(map(self._leading_bytes.__contains__, ids))


def learn(
    sentences: Iterable[str],
    *,
    algorithm: Literal["unigram", "bpe"],
    size: int,
    character_coverage: float,
    normalization: str,
    symbols: Sequence[str] = (),
) -> tuple[bytes, int]:
    """Train SentencePiece on sentences; returns its model file and the vocabulary's size.

    Each of the `symbols` is a piece, and never a part of one.

    The size is smaller than `size` if the corpus does not support more pieces, and larger if its characters
    alone need more: SentencePiece's error names the nearest feasible size. The result depends on the input
    alone; sampling is up to the caller.
    """
    kept = list(sentences)  # used again for another size; the caller bounds their number
    wanted = size
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
                user_defined_symbols=list(symbols),
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
                    f"tokenize.vocabulary_size: {wanted} pieces cannot be learnt from "
                    f"{len(kept):,} sentences: {error}"
                ) from None
            size = feasible
        else:
            return model.getvalue(), size
    raise UserError(f"tokenize.vocabulary_size: no feasible size found near {wanted}")


def normalizer(rule: str) -> Callable[[str], str]:
    """The function that applies one of SentencePiece's normalisation rules."""
    if rule == "identity":
        return str
    of_rule = spm.SentencePieceNormalizer(rule_name=rule, add_dummy_prefix=False, escape_whitespaces=False)
    return lambda text: str(of_rule.normalize(text))


def with_rule(model: bytes, rule: str) -> bytes:
    """A model file with another normalisation rule and the same pieces."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    spec = proto.normalizer_spec
    spec.name = rule
    spec.precompiled_charsmap = b""
    if rule != "identity":
        of_rule = spm.SentencePieceNormalizer(rule_name=rule).serialized_model_proto()
        found = sentencepiece_model_pb2.ModelProto.FromString(of_rule).normalizer_spec
        spec.precompiled_charsmap = found.precompiled_charsmap
    return bytes(proto.SerializeToString(deterministic=True))


def _encodable(sentences: list[str]) -> Iterator[str]:
    """The sentences without empty ones, which would end the trainer's input early."""
    return (sentence for sentence in sentences if sentence.strip())


def _feasible_size(message: str) -> int | None:
    """The feasible size in an error of SentencePiece."""
    if match := re.search(r"too high \(\d+\)\. Please set it to a value <= (\d+)", message):
        return int(match[1])
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return int(match[1]) + 1
    return None
