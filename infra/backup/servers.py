"""Backup and restore of the team's servers: both databases and all objects of the store.

Why: a row of a database may name an object, so databases are read before objects and written after them: no
row then names an object that the copy lacks. Objects that are uploaded meanwhile are left over, at worst.
In the bucket `dvc` the records of earlier runs name data, and are copied in the same order.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

from infra.backup import manifest as manifests
from infra.backup.manifest import SERVERS, Draft, Manifest
from infra.services import __main__ as services
from infra.services import health, run, topology
from infra.services.supervise import Processes
from infra.services.topology import BUCKETS, DATABASES, MLFLOW_ADMIN, Topology
from seq2seq.common.errors import TransientError, UserError

RUNS = "/runs/"  # in a key of the bucket dvc: a record of an earlier run
PROBE = ".health"  # the object of the health check
SECONDS, ATTEMPTS = 60, 4  # for each call of the store
# Rows that only use makes; a started set has tables, deployments and scheduled runs.
USED = {
    "mlflow": ("SELECT 1 FROM registered_models LIMIT 1", "SELECT 1 FROM runs LIMIT 1"),
    "prefect": ("SELECT 1 FROM flow_run WHERE start_time IS NOT NULL LIMIT 1",),
}


def back_up(folder: Path, where: Topology, with_secrets: bool) -> Manifest:
    """Write a backup of running servers; raises UserError or TransientError."""
    where, _ = services.settings(where, None, None)
    for name in ("database", "store"):
        if reason := health.problem(name, where):
            raise TransientError(f"{name} does not answer ({reason}): `make services` starts it")
    with manifests.writing(folder, SERVERS) as draft:
        for name in DATABASES:
            path = draft.path(f"databases/{name}.dump")
            _postgres(where, "pg_dump", "--format=custom", f"--file={path}", f"--dbname={name}")
            draft.add(f"databases/{name}.dump")
        draft.manifest.versions["postgres"] = _tool_version("pg_dump")
        client = health.s3(where, "admin", SECONDS, ATTEMPTS)
        for bucket in BUCKETS:
            for key in sorted(_keys(client, bucket), key=lambda key: (RUNS not in f"/{key}", key)):
                _download(client, bucket, key, draft)
        for name in topology.SECRETS if with_secrets else ():
            topology.write_private(draft.path(f"secrets/{name}"), f"{where.secret(name)}\n")
            draft.add(f"secrets/{name}")
        return draft.manifest


def restore(folder: Path, where: Topology, force: bool) -> Manifest:
    """Restore a backup into an empty set, and start what does not run; raises UserError before any write."""
    found = manifests.read_restorable(folder, SERVERS)
    if _major(_tool_version("pg_restore")) < _major(found.versions["postgres"]):
        raise UserError(f"the backup needs PostgreSQL {found.versions['postgres']} or later")
    kept = [name for name in found.files if name.startswith("secrets/")]
    if kept and not where.secrets.exists():
        where.folder.mkdir(parents=True, exist_ok=True)
        where.secrets.mkdir(mode=0o700)
        for name in kept:
            topology.write_private(where.secrets / Path(name).name, (folder / name).read_text("utf-8"))
    services.start(where, None, None, only=("database", "store"))
    where, workers = services.settings(where, None, None)
    client = health.s3(where, "admin", SECONDS, ATTEMPTS)
    if not force and (used := _use(where, client)):
        raise UserError(f"{used}: a backup is restored into an empty set; `FORCE=1` replaces its content")
    # Clients of the databases; a worker would run a schedule meanwhile.
    Processes(where.folder).stop([n for n in services.names(workers) if n not in ("database", "store")])
    for one in found.objects:
        with (folder / one["file"]).open("rb") as file:
            client.upload_fileobj(file, one["bucket"], one["key"])
    for name in DATABASES:
        _drop(where, name)
    health.make_databases(where)
    for name in DATABASES:
        dump = folder / f"databases/{name}.dump"
        _postgres(
            where, "pg_restore", "--single-transaction", "--exit-on-error", f"--dbname={name}", str(dump)
        )
    _set_admin_password(where)
    if found.versions["mlflow"] != manifests.installed("mlflow"):
        health.upgrade_mlflow(where)  # Prefect's server upgrades its database when it starts
    services.start(where, None, None)
    return found


def _keys(client: Any, bucket: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [one["Key"] for page in pages for one in page.get("Contents", []) if one["Key"] != PROBE]


def _download(client: Any, bucket: str, key: str, draft: Draft) -> None:
    """Copy an object to a file that is named by its hash."""
    draft_file = draft.path("objects/new")
    with draft_file.open("wb") as file:
        client.download_fileobj(bucket, key, file)
    digest = manifests.sha256(draft_file)
    name = f"objects/{digest[:2]}/{digest}"
    draft_file.rename(draft.path(name))
    if name not in draft.manifest.files:
        draft.add(name)
    draft.manifest.objects.append({"bucket": bucket, "key": key, "file": name})


def _use(where: Topology, client: Any) -> str:
    """A sign that the set is in use, as text; empty if it is empty."""
    import psycopg2

    for name, queries in USED.items():
        connection = health.connect(where, name)
        try:
            with connection.cursor() as cursor:
                for query in queries:
                    try:
                        cursor.execute(query)
                    except psycopg2.errors.UndefinedTable:
                        continue  # the server has never started
                    if cursor.fetchone():
                        return f"the database {name} in {where.folder} has content"
        finally:
            connection.close()
    for bucket in BUCKETS:
        if keys := _keys(client, bucket):
            return f"the bucket {bucket} in {where.folder} has {len(keys):,} objects"
    return ""


def _drop(where: Topology, name: str) -> None:
    from psycopg2 import sql

    connection = health.connect(where)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    finally:
        connection.close()


def _set_admin_password(where: Topology) -> None:
    """Give MLflow's administrator the password of this set; the database has the hash of the former one's."""
    connection = health.connect(where, "mlflow")
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE users SET password_hash = %s WHERE username = %s",
                (password_hash(where.secret("mlflow-admin-password")), MLFLOW_ADMIN),
            )
    finally:
        connection.close()


def password_hash(password: str) -> str:
    """A password as MLflow's table of users stores it, in Werkzeug's notation."""
    salt = os.urandom(12).hex()
    n, r, p = 2**15, 8, 1
    digest = hashlib.scrypt(password.encode(), salt=salt.encode(), n=n, r=r, p=p, maxmem=132 * n * r * p)
    return f"scrypt:{n}:{r}:{p}${salt}${digest.hex()}"


def _postgres(where: Topology, program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's on the server."""
    host, _, port = where.addresses["database"].rpartition(":")
    place = run.postgres_programs() / program
    health.call(where, program, [place, "--host", host, "--port", port, "--username=postgres", *arguments])


def _tool_version(program: str) -> str:
    done = subprocess.run(
        [run.postgres_programs() / program, "--version"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[2]


def _major(text: str) -> int:
    return int(text.split(".")[0])
