"""Recipes and overrides: what `seq2seq use` and `seq2seq run` write into params.yaml.

Why: params.yaml stays complete and valid, and keeps its comments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from ruamel.yaml.error import YAMLError

from seq2seq.common import params, paths
from seq2seq.common.params import ParamsError

Complete = Callable[[Set[str], Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]  # see `apply`


def apply(
    recipe: Path | None,
    overrides: Iterable[str] = (),
    path: Path = paths.PARAMS,
    complete: Complete | None = None,
) -> list[tuple[str, Any, Any]]:
    """Rewrite `path` in place with a recipe's values and then with `section.key=value` overrides.

    `complete` takes the overridden keys, the values before and after, by section, and returns values of
    further keys that depend on them; overridden keys stay. Comments stay. Nothing is written unless the
    result is valid. Returns the changes as (key, before, after). Raises ParamsError.
    """
    document = params.read_document(path)
    params.check_format(document, path)
    before = {name: dict(keys) for name, keys in document.items() if isinstance(keys, Mapping)}
    changes: dict[str, tuple[Any, Any]] = {}

    def assign(section: str, key: str, value: Any, origin: str) -> None:
        known = [f"{s}.{k}" for s, keys in document.items() if isinstance(keys, Mapping) for k in keys]
        if f"{section}.{key}" not in known:
            raise ParamsError(f"{origin}: no key {section}.{key}{params.suggest(f'{section}.{key}', known)}")
        document[section][key] = value
        changes[f"{section}.{key}"] = (before[section][key], value)

    if recipe is not None:
        values = params.read_document(recipe)
        params.check_format(values, recipe)
        for section, keys in values.items():
            if section == "format":
                continue
            if not isinstance(keys, Mapping):
                raise ParamsError(f"{recipe}: {section} has no keys")
            for key, value in keys.items():
                assign(section, key, value, str(recipe))
    assigned = set()
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot):
            raise ParamsError(f"--set {override}: write section.key=value, e.g. train.seed=2")
        assign(section, key, _parse(section, key, text, f"--set {override}"), f"--set {override}")
        assigned.add(f"{section}.{key}")
    params.check(document, path)
    if complete is not None:
        for name, value in complete(assigned, before, document).items():
            if name not in assigned:
                section, _, key = name.partition(".")
                assign(section, key, value, name)
        params.check(document, path)
    changed = [(key, old, new) for key, (old, new) in changes.items() if old != new]
    if changed:
        params.write(document, path)
    return changed


def recipe_path(name: str, folder: Path = paths.RECIPES) -> Path:
    """The file of a recipe given by name or path; raises ParamsError with the names of all recipes."""
    for candidate in (folder / f"{name}.yaml", Path(name)):
        if candidate.is_file():
            return candidate
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    raise ParamsError(f"no recipe {name!r}{params.suggest(name, known)}; there are: {', '.join(known)}")


def _parse(section: str, key: str, text: str, origin: str) -> Any:
    """The value of an override: literal if the key takes text, YAML otherwise or if quoted.

    A path may contain `#`, `: `, brackets and spaces, which are syntax in YAML.
    """
    kinds = _kinds(section, key)
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


def _kinds(section: str, key: str) -> set[Any]:
    """The types of a key of params.yaml, e.g. str and NoneType; empty for an unknown key."""
    part: Any = params.Params.model_fields.get(section)
    field = getattr(part and part.annotation, "model_fields", {}).get(key)

    def inner(kind: Any) -> set[Any]:
        if get_origin(kind) is Annotated:
            return inner(get_args(kind)[0])
        if get_origin(kind) in (Union, UnionType):
            return set().union(*map(inner, get_args(kind)))
        return {kind}

    return inner(field.annotation) if field else set()
