"""Whether a server is healthy, and the step between the servers: databases and buckets are made.

Why: a server that listens may not serve yet. Each check does a little of what the server is for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from infra.services.topology import BUCKETS, DATABASES, REGION, Topology
from seq2seq.common.errors import TransientError

SECONDS = 5  # limit of one check


def problem(name: str, topology: Topology) -> str:
    """Why a server is not healthy yet; empty if it is."""
    checks = {"database": _database, "store": _store}
    try:
        checks.get(name, lambda where: _http(name, where))(topology)
    except Exception as error:  # of a driver: each has its own kinds
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return ""


def _http(name: str, topology: Topology) -> None:
    path = "/api/health" if name == "prefect" else "/health"
    host = topology.addresses.get(name) or f"127.0.0.1:{topology.port(name)}"
    # Without a proxy, whatever the environment names.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://{host}{path}", timeout=SECONDS):
        pass


def _database(topology: Topology) -> None:
    connect(topology).close()


def connect(topology: Topology, database: str = "postgres") -> Any:
    """A connection of the superuser, which commits each statement."""
    import psycopg2

    host, _, port = topology.addresses["database"].rpartition(":")
    password = topology.secret("database-password")
    connection = psycopg2.connect(
        host=host, port=port, user="postgres", password=password, dbname=database, connect_timeout=SECONDS
    )
    connection.autocommit = True
    return connection


def _store(topology: Topology) -> None:
    """Write and read an object: a gateway answers before there is a place for objects."""
    client = s3(topology, "admin")
    make_buckets(topology)
    client.put_object(Bucket="dvc", Key=".health", Body=b"1")
    client.get_object(Bucket="dvc", Key=".health")["Body"].read()


def s3(topology: Topology, user: str, seconds: int = SECONDS, attempts: int = 1) -> Any:
    """A client of the store with the key of a user: `admin` or the name of a bucket."""
    import boto3
    from botocore.config import Config

    limits = Config(
        connect_timeout=seconds,
        read_timeout=seconds,
        retries={"total_max_attempts": attempts},
        s3={"addressing_style": "path"},
        proxies={},
    )
    return boto3.client(
        "s3",
        endpoint_url=topology.url("store"),
        aws_access_key_id=user,
        aws_secret_access_key=topology.secret(f"store-{user}-secret"),
        region_name=REGION,
        config=limits,
    )


def make_buckets(topology: Topology) -> None:
    """Make the buckets that are missing."""
    client = s3(topology, "admin")
    existing = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in existing:
            client.create_bucket(Bucket=name)


def make_databases(topology: Topology) -> None:
    """Make the databases that are missing, each with an owner whose password is the generated one."""
    from psycopg2 import sql

    connection = connect(topology)
    try:
        with connection.cursor() as cursor:
            for name in DATABASES:
                role, password = sql.Identifier(name), topology.secret(f"database-{name}-password")
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                text = sql.SQL(f"{verb} ROLE {{}} LOGIN PASSWORD %s").format(role)
                cursor.execute(text, (password,))
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
                if not cursor.fetchone():
                    cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
                    cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(role))
    finally:
        connection.close()


def upgrade_mlflow(topology: Topology) -> None:
    """Bring MLflow's tables to the installed version."""
    address = f"postgresql+psycopg2://postgres@{topology.addresses['database']}/mlflow"
    call(topology, "mlflow db upgrade", [sys.executable, "-m", "mlflow", "db", "upgrade", address])


def call(topology: Topology, name: str, command: list[str | Path]) -> None:
    """Run a program on the database as its administrator; raises TransientError if it fails.

    The password stands in no command line: libpq takes it from the environment.
    """
    done = subprocess.run(
        command,
        env={**os.environ, "PGPASSWORD": topology.secret("database-password")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TransientError(f"{name} failed: {done.stderr.strip()[-500:]}")
