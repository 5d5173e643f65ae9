"""The version that a name means: an alias now, a number, or a folder.

Why: an alias is looked up every few seconds. In a SQLite registry on this machine that is one query; MLflow,
which takes seconds and much memory to import, is needed for servers only.
"""

from __future__ import annotations

import os
from pathlib import Path

from seq2seq.common.errors import UserError
from seq2seq.serving.dispatcher import Version
from seq2seq.tracking import client, registry, sqlite_store


class Source:
    """`models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a model folder."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._folder: Path | None = None
        self.name, self.alias, self._number = uri, "", ""
        if not uri.startswith("models:"):
            self._folder = Path(uri).absolute()
            self.name = self._folder.name
            return
        match = registry.NAME.fullmatch(uri)
        if match is None:
            raise UserError(f"{uri!r} is not a model: write models:/NAME@ALIAS or models:/NAME/VERSION")
        self.name, self.alias, self._number = match["name"], match["alias"] or "", match["version"] or ""

    def number(self) -> str:
        """The number of the version that the name means now; empty for a folder.

        Raises UserError if the alias does not exist, TransientError if the registry does not answer.
        """
        if not self.alias:
            return self._number
        found = _local_number(self.name, self.alias)
        if found is None:
            version = registry.version_by_alias(self.name, self.alias)
            if version is None:
                raise UserError(f"{self.uri} does not exist: {registry.list_alternatives(self.name)}")
            found = version.version
        return found

    def fetch(self, number: str) -> Version:
        """A version with its files on this machine, compared with the digest of their registration.

        Raises UserError if they are missing or changed, TransientError if the registry does not answer.
        """
        if self._folder is not None and not self._folder.is_dir():
            raise UserError(f"{self._folder} is not a model folder: name one, or models:/NAME@ALIAS")
        folder = self._folder or registry.download_model(f"models:/{self.name}/{number}").absolute()
        return Version(self.name, number, folder)


def _local_number(name: str, alias: str) -> str | None:
    """The number of an alias in a SQLite registry; None if MLflow is needed, also to explain an error."""
    database = sqlite_store.sqlite_file(client.uri())
    if database is None or "MLFLOW_REGISTRY_URI" in os.environ:
        return None
    registry.check_exists()
    return sqlite_store.aliased_version(database, name, alias)
