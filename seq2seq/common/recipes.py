"""Recipes and overrides, which `seq2seq use` and `seq2seq run` write into params.yaml.

Why: params.yaml stays complete and valid, and keeps its comments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from ruamel.yaml.error import YAMLError

from seq2seq.common import params, paths
from seq2seq.common.params import ParamsError
from seq2seq.common.schema import Params, Source

MISSING = "(missing)"  # the value before of an added key, and after of a removed one
Complete = Callable[
    [Mapping[str, str], Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]
]  # see `apply`


def apply(
    recipe: Path | None,
    overrides: Iterable[str] = (),
    path: Path = paths.PARAMS,
    complete: Complete | None = None,
) -> list[tuple[str, Any, Any]]:
    """Rewrite `path` in place with a recipe's values and then with overrides `section.key=value`.

    Overrides of one source may leave out its name if there is one (`ingest.path=FILE`); a source that is
    new needs only a path (`ingest.sources.NAME=FILE`), and null removes one. `complete` takes the overridden
    keys (as given, and in full), the values before and after, by section, and returns values of further keys
    that depend on them; overridden keys stay. Comments stay. Nothing is written unless the result is valid.
    Returns the changes as (key, before, after). Raises ParamsError.
    """
    document = params.read_document(path)
    params.check_format(document, path)
    before = _plain(document)
    if recipe is not None:
        values = params.read_document(recipe)
        params.check_format(values, recipe)
        for section, keys in values.items():
            if section == "format":
                continue
            if not isinstance(keys, Mapping):
                raise ParamsError(f"{recipe}: {section} has no keys")
            for key, value in keys.items():
                _assign(document, [section, key], value, str(recipe))
    assigned: dict[str, str] = {}
    sources = list(_training(document))  # before the overrides add any
    for override in overrides:
        name, equals, text = override.partition("=")
        origin = f"--set {override}"
        parts = name.strip().split(".")
        if not equals or len(parts) < 2:
            raise ParamsError(f"{origin}: write section.key=value, e.g. train.seed=2")
        parts = _of_source(sources, parts, origin)
        value = _parse(parts, text, origin)
        if parts[:2] == ["ingest", "sources"] and len(parts) == 3 and value is not None:
            parts = [*parts, "path"]
        _assign(document, parts, value, origin)
        assigned |= {name.strip(): ".".join(parts), ".".join(parts): ".".join(parts)}
    if complete is None:
        params.check(document, path)
    else:
        for name, value in complete(assigned, before, _plain(document)).items():
            if name not in assigned:
                _assign(document, name.split("."), value, name)
        params.check(document, path)
    changed = differences(before, _plain(document))
    if changed:
        params.write(document, path)
    return changed


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The keys whose values differ, as (key, before, after)."""
    old, new = params.flatten(before), params.flatten(after)
    return [
        (key, old.get(key, MISSING), new.get(key, MISSING))
        for key in dict.fromkeys((*new, *old))
        if (key not in new or key not in old) or old[key] != new[key]
    ]


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the sections of a document, without comments."""
    return {key: _plain(value) if isinstance(value, Mapping) else value for key, value in document.items()}


def _assign(document: Any, parts: list[str], value: Any, origin: str) -> None:
    """Set a key that the file has, or one of a mapping by name; null removes a name from a mapping."""
    section, key, *inner = parts
    known = [f"{s}.{k}" for s, keys in document.items() if isinstance(keys, Mapping) for k in keys]
    if f"{section}.{key}" not in known:
        raise ParamsError(f"{origin}: no key {section}.{key}{params.suggest(f'{section}.{key}', known)}")
    if not inner:
        may_be_null = value is None and type(None) in _kinds([section, key])
        if isinstance(document[section][key], Mapping) and not (may_be_null or isinstance(value, Mapping)):
            raise ParamsError(f"{origin}: {section}.{key} is a mapping, e.g. {section}.{key}.NAME=...")
        document[section][key] = value
        return
    if not isinstance(document[section][key], Mapping):
        raise ParamsError(f"{origin}: {section}.{key} has no keys of its own")
    document[section][key] = place = _plain(document[section][key])
    for part in inner[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ParamsError(f"{origin}: {part} has no keys of its own")
    if value is None and len(inner) == 1:
        place.pop(inner[0], None)
    else:
        place[inner[-1]] = value


def _training(document: Mapping[str, Any]) -> list[str]:
    """The names of the sources to train on."""
    sources = document.get("ingest", {}).get("sources", {})
    return [name for name, source in sources.items() if source.get("role", "train") == "train"]


def _of_source(training: Sequence[str], parts: list[str], origin: str) -> list[str]:
    """`ingest.sources.NAME.KEY` for the short `ingest.KEY` of the only source to train on."""
    section, key = parts[:2]
    if section != "ingest" or len(parts) > 2 or key not in Source.model_fields:
        return parts
    if len(training) != 1:
        raise ParamsError(
            f"{origin}: of which source? write ingest.sources.NAME.{key}=...; "
            f"there are: {', '.join(training)}"
        )
    return ["ingest", "sources", training[0], key]


def recipe_path(name: str, folder: Path = paths.RECIPES) -> Path:
    """The file of a recipe given by name or path; raises ParamsError with the names of all recipes."""
    for candidate in (folder / f"{name}.yaml", Path(name)):
        if candidate.is_file():
            return candidate
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    raise ParamsError(f"no recipe {name!r}{params.suggest(name, known)}; there are: {', '.join(known)}")


def _parse(parts: list[str], text: str, origin: str) -> Any:
    """The value of an override: literal if the key takes text, YAML otherwise or if quoted.

    A path may contain `#`, `: `, brackets and spaces, which are syntax in YAML.
    """
    kinds = _kinds(parts)
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    is_null = type(None) in kinds and text.strip() in ("", "~", "null")
    is_number = int in kinds and text.strip().isdecimal()
    if str in kinds and not (quoted or is_null or is_number):
        return text
    try:
        value = params.round_trip_yaml().load(text)
    except YAMLError:
        if str in kinds:
            return text
        raise ParamsError(f"{origin}: {text!r} is not a YAML value") from None
    return value if str not in kinds or is_null or is_number or isinstance(value, str) else text


def _kinds(parts: list[str]) -> set[Any]:
    """The types of a key of params.yaml, e.g. str and NoneType; empty for an unknown key."""
    if parts[:2] == ["ingest", "sources"] and len(parts) > 2:
        if len(parts) == 3:  # a path, or null
            return {str, type(None)}
        field = Source.model_fields.get(parts[3])
    else:
        section: Any = Params.model_fields.get(parts[0])
        field = getattr(section and section.annotation, "model_fields", {}).get(parts[1])

    def inner(kind: Any) -> set[Any]:
        if get_origin(kind) is Annotated:
            return inner(get_args(kind)[0])
        if get_origin(kind) in (Union, UnionType):
            return set().union(*map(inner, get_args(kind)))
        return {kind}

    return inner(field.annotation) if field else set()
