"""The bodies of requests and answers, as LibreTranslate has them, and those of `inspect`.

Why: they validate requests, and the OpenAPI description of the server is made from them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from fastapi import HTTPException
from pydantic import BaseModel, Field, ValidationError

Text = Annotated[str, Field(min_length=1)]
Language = Annotated[str, Field(min_length=1, max_length=35)]
Count = Annotated[int, Field(ge=0, le=1000)]


class Detect(BaseModel):
    """A request to identify a language."""

    q: Text
    api_key: str | None = None


class Translate(BaseModel):
    """A request to translate a text or several."""

    q: Text | Annotated[list[str], Field(min_length=1)]
    source: Language
    target: Language
    format: Literal["text", "html"] | None = None
    alternatives: Count | None = None
    api_key: str | None = None


class Inspect(BaseModel):
    """A request for all that is known about one translation."""

    q: Text
    source: Language | None = None
    target: Language | None = None
    alternatives: Count | None = None
    api_key: str | None = None


class Suggest(BaseModel):
    """A better translation of a text; the translation itself, and its version, if they are known."""

    q: Text
    s: Text
    source: Language
    target: Language
    translation: str | None = None
    version: str | None = None
    api_key: str | None = None


class File(BaseModel):
    """The fields of an upload beside the file."""

    source: Language
    target: Language
    column: str | None = None
    api_key: str | None = None


class Problem(BaseModel):
    """Every answer other than 200."""

    error: str


class Detected(BaseModel):
    """A language with its probability in per cent."""

    confidence: float
    language: str


class Translated(BaseModel):
    """Lists, if the request had a list."""

    translatedText: str | list[str]
    detectedLanguage: Detected | list[Detected] | None = None
    alternatives: list[str] | list[list[str]] | None = None


class Alternative(BaseModel):
    """Another translation."""

    text: str
    score: float
    confidence: float | None


class Version(BaseModel):
    """A registered version and its page, if a server shows it; the number of a model folder is empty."""

    name: str
    number: str
    url: str | None = None


class Inspected(BaseModel):
    """A translation with its pieces; attention has a row for each target piece, None without attention."""

    translation: str
    score: float
    confidence: float | None
    mean_log_probability: float | None
    splits: int
    alternatives: list[Alternative]
    source_pieces: list[str]
    target_pieces: list[str]
    attention: list[list[float]] | None
    doubts: list[str]
    unknown_words: list[str]
    version: Version


class LanguageInfo(BaseModel):
    """A language, and those into which it is translated."""

    code: str
    name: str
    targets: list[str]


class FileTranslated(BaseModel):
    """The address of a translated file."""

    translatedFileUrl: str


class Suggested(BaseModel):
    """A suggestion is stored."""

    success: bool


AUTO = "auto"  # a language that the server identifies
EMPTY_MEANS_NONE = ("format", "alternatives")  # forms of pages send all their fields
B = TypeVar("B", bound=BaseModel)


def parse(kind: type[B], fields: dict[str, Any], strict: bool) -> B:
    """The body of a request; raises HTTPException with status 400. `strict` does not convert texts."""
    for name, value in fields.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                raise HTTPException(400, f"Invalid request: {name} has half of a surrogate pair")
    given = {name: value for name, value in fields.items() if value != "" or name not in EMPTY_MEANS_NONE}
    try:
        return kind.model_validate(given, strict=strict)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "body"
        if fields.get(name) in (None, "", []):
            raise HTTPException(400, f"Invalid request: missing {name} parameter") from None
        raise HTTPException(400, f"Invalid request: {name}: {first['msg']}") from None


def described(kind: type[BaseModel], *, file: str = "") -> dict[str, Any]:
    """The request body of a path for its OpenAPI description."""
    schema = kind.model_json_schema()
    if file:
        schema["properties"][file] = {"type": "string", "format": "binary"}
        schema["required"] = [*schema["required"], file]
        return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
    kinds = ("application/json", "application/x-www-form-urlencoded")
    content = {name: {"schema": schema} for name in kinds}
    return {"requestBody": {"required": True, "content": content}}
