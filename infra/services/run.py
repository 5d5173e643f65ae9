"""`python -m infra.services run NAME`: become one of the servers.

Why: the command lines, settings and variables of the servers stand here only, for one host and for
containers. Passwords go into the environment or a private file of a server, never into its command line,
which every user of a host can read.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn

from infra.services import topology as topology_
from infra.services.topology import BUCKETS, GRPC, MLFLOW_ADMIN, REGION, Topology
from seq2seq.common.errors import UserError

POSTGRES_USER = "postgres"  # PostgreSQL does not run as root: then it runs as this user
DEBIAN = "apt-get install --yes postgresql"
PYPI = "make services installs it, or: pip install -c constraints.txt -e '.[services]'"
PERMISSIONS = ("EDIT", "READ")  # of an account on what it has no permission of its own for
QUIET = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Program(NamedTuple):
    """A command and the variables to set for it."""

    command: list[str]
    variables: Mapping[str, str] = {}


def become(name: str, topology: Topology) -> NoReturn:
    """Replace this process by a server."""
    program = plan(name, topology)
    # A shell lets its background jobs ignore Ctrl-C, which would keep servers from stopping.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The servers stand below a folder with names of their own: none of the project's files is a setting.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.execvpe(program.command[0], program.command, {**os.environ, "PATH": path, **program.variables})


def plan(name: str, topology: Topology) -> Program:
    """The program of a server; makes its folder and private files."""
    if name.startswith("worker"):
        return _worker(name, topology)
    make = {"database": _database, "mlflow": _mlflow, "prefect": _prefect, "deploy": _deploy}
    make["serve"] = _serve
    make |= {"store": {"seaweedfs": _seaweedfs, "rclone": _rclone}[topology.store]}
    if name not in make:
        raise UserError(f"{name} is no server: {', '.join(make)}, worker-1, worker-2 ...")
    return make[name](topology)


def postgres_programs() -> Path:
    """The folder with initdb and postgres; raises UserError that names Debian's package."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    found.sort(key=lambda path: float(path.parent.name))
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb).resolve().parent]
    if not found:
        raise UserError(f"PostgreSQL is not installed: run `{DEBIAN}` as root")
    version = subprocess.run(
        [found[-1] / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    major = version.stdout.split()[2].split(".")[0]
    if int(major) < topology_.OLDEST_POSTGRES:
        raise UserError(
            f"PostgreSQL {major} in {found[-1]} is too old: {topology_.OLDEST_POSTGRES} is the oldest that "
            f"Prefect supports; run `{DEBIAN}` as root"
        )
    return found[-1]


def missing_programs(topology: Topology) -> list[str]:
    """The programs and packages that cannot be found, each with its remedy."""
    problems = []
    try:
        postgres_programs()
    except UserError as error:
        problems.append(str(error))
    here = str(Path(sys.executable).parent)
    program = {"seaweedfs": "weed", "rclone": "rclone"}[topology.store]
    search = os.pathsep.join([here, os.environ.get("PATH", "")])
    if not shutil.which(program, path=search):
        problems.append(f"the program {program} is not installed: {PYPI}")
    from importlib.util import find_spec

    absent = [name for name in ("psycopg2", "boto3", "flask_wtf") if find_spec(name) is None]
    if absent:
        problems.append(f"the libraries {', '.join(absent)} are not installed: {PYPI}")
    return problems


def as_postgres() -> list[str]:
    """The words before a program of PostgreSQL's: for root those that change to another user."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={POSTGRES_USER}", f"--regid={POSTGRES_USER}", "--clear-groups", "--"]


def _database(topology: Topology) -> Program:
    programs, user, home = postgres_programs(), as_postgres(), topology.folder / "database"
    data = home / "data"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user:
        shutil.chown(home, POSTGRES_USER, POSTGRES_USER)
        if subprocess.run([*user, "test", "-x", home], check=False).returncode:
            raise UserError(
                f"root runs PostgreSQL as the user {POSTGRES_USER}, who cannot enter {home}: give the "
                "folders above it the right x for others, or set SERVICES_FOLDER to another folder"
            )
    if not (data / "PG_VERSION").exists():
        password = home / "password"
        topology_.write_private(password, topology.secret("database-password"))
        if user:
            shutil.chown(password, POSTGRES_USER)
        make = [
            str(programs / "initdb"),
            "--pgdata",
            str(data),
            "--username",
            "postgres",
            "--encoding",
            "UTF8",
        ]
        make += ["--locale", "C.UTF-8", "--auth", "scram-sha-256", "--data-checksums"]
        make += ["--pwfile", str(password)]
        done = subprocess.run([*user, *make], capture_output=True, text=True, cwd="/", check=False)
        password.unlink()
        if done.returncode:
            raise UserError(f"initdb failed: {done.stderr.strip()}")
    settings = {
        "listen_addresses": topology.bind,
        "port": topology.port("database"),
        "unix_socket_directories": "",  # TCP only: a path of a socket has 107 characters at most
        "logging_collector": "off",
    }
    options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    return Program([*user, str(programs / "postgres"), "-D", str(data), *options])


def _seaweedfs(topology: Topology) -> Program:
    folder = topology.folder / "store"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    keys = folder / "keys.json"
    topology_.write_private(keys, topology_.identities(topology))
    host = topology.addresses["store"].rpartition(":")[0]
    options = {
        "dir": folder / "data",
        "ip": host,
        "ip.bind": topology.bind,
        "filer": "true",
        "s3": "true",
        "s3.config": keys,
        "s3.iam": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 1024,
        "volume.max": 0,  # as many as fit the disk: each bucket takes seven
        "volume.preStopSeconds": 1,
    }
    parts = {"s3": "store", "master": "store-master", "volume": "store-volume", "filer": "store-filer"}
    for option, part in parts.items():
        options[f"{option}.port"] = topology.port(part)
        options[f"{option}.port.grpc"] = topology.port(part) + GRPC
    return Program(["weed", "server", *(f"-{name}={value}" for name, value in options.items())])


def _rclone(topology: Topology) -> Program:
    data = topology.folder / "store/files"
    for name in BUCKETS:  # its buckets are folders
        (data / name).mkdir(parents=True, exist_ok=True)
    keys = ",".join(f'"{name},{topology.secret(f"store-{name}-secret")}"' for name in ("admin", *BUCKETS))
    address = f"{topology.bind}:{topology.port('store')}"
    return Program(
        ["rclone", "serve", "s3", "--addr", address, "--config", "/dev/null", str(data)],
        {"RCLONE_AUTH_KEY": keys},
    )


def _mlflow(topology: Topology) -> Program:
    folder = topology.folder / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    database = topology.database_url("mlflow", "psycopg2")
    login = folder / "login.ini"
    settings = {
        # By default each account may register and promote; with READ those with a permission of their own.
        "default_permission": _permission(),
        "database_uri": database.replace("%", "%%"),
        # Seconds for which a checked password is not hashed again: a run makes hundreds of requests.
        "auth_cache_ttl_seconds": 60,
    }
    lines = [f"{key} = {value}" for key, value in settings.items()]
    topology_.write_private(login, "\n".join(["[mlflow]", *lines, ""]))
    port = topology.port("mlflow")
    hosts = dict.fromkeys([topology.addresses["mlflow"], f"localhost:{port}", f"127.0.0.1:{port}"])
    more = [name for name in os.environ.get("MLFLOW_SERVER_ALLOWED_HOSTS", "").split(",") if name]
    variables = {
        **QUIET,
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_ARTIFACTS_DESTINATION": "s3://mlflow/artifacts",  # clients need no key of the store
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # saves 0.7 GB of unused processes
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join([*hosts, *more]),
        "MLFLOW_AUTH_CONFIG_PATH": str(login),
        "MLFLOW_AUTH_ADMIN_USERNAME": MLFLOW_ADMIN,
        "MLFLOW_AUTH_ADMIN_PASSWORD": topology.secret("mlflow-admin-password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": topology.secret("mlflow-session-key"),
        "MLFLOW_S3_ENDPOINT_URL": topology.url("store"),
        "AWS_ACCESS_KEY_ID": "mlflow",
        "AWS_SECRET_ACCESS_KEY": topology.secret("store-mlflow-secret"),
        "AWS_DEFAULT_REGION": REGION,
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    return Program([*command, "--host", topology.bind, "--port", str(port)], variables)


def _permission() -> str:
    given = os.environ.get("SERVICES_MLFLOW_PERMISSION") or PERMISSIONS[0]
    if given not in PERMISSIONS:
        raise UserError(f"SERVICES_MLFLOW_PERMISSION={given} must be {' or '.join(PERMISSIONS)}")
    return given


def _prefect(topology: Topology) -> Program:
    folder = topology.folder / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    port = topology.port("prefect")
    page = os.environ.get("SERVICES_PREFECT_PAGE") or f"http://127.0.0.1:{port}"
    variables = {
        **QUIET,
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": topology.database_url("prefect", "asyncpg"),
        "PREFECT_SERVER_API_AUTH_STRING": topology.secret("prefect-login"),
        "PREFECT_API_AUTH_STRING": topology.secret("prefect-login"),  # its own services call it
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": page,  # Prefect's default is every web page
        "PREFECT_UI_API_URL": f"{page}/api",
    }
    command = [sys.executable, "-m", "prefect", "server", "start"]
    return Program([*command, "--host", topology.bind, "--port", str(port)], variables)


def _client(topology: Topology) -> dict[str, str]:
    """Variables of the processes that use all servers."""
    return {**QUIET, **topology.user_variables(), "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}


def _deploy(topology: Topology) -> Program:
    return Program([sys.executable, "-m", "flows", "deploy"], _client(topology))


def _worker(name: str, topology: Topology) -> Program:
    home = topology.folder / name
    home.mkdir(parents=True, exist_ok=True)
    variables = {
        **_client(topology),
        "PREFECT_HOME": str(home),
        "PREFECT_WORKER_WEBSERVER_HOST": topology.bind,
        "PREFECT_WORKER_WEBSERVER_PORT": str(topology.port(name)),
    }
    return Program([sys.executable, "-m", "flows", "worker", "--name", name, "--with-healthcheck"], variables)


def _serve(topology: Topology) -> Program:
    """`seq2seq serve` for the champion of params.yaml, or for SERVICES_SERVE_MODEL."""
    folder = topology.folder / "serve"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "seq2seq", "serve", "--host", topology.bind]
    command += ["--port", str(topology.port("serve")), "--corrections", str(folder / "corrections.db")]
    if model := os.environ.get("SERVICES_SERVE_MODEL"):
        command += ["--model", model]
    return Program(command, {**QUIET, **topology.registry_variables()})
