"""Names, ports, addresses and passwords of the team's servers, in one place.

Why: each server needs the addresses and passwords of others, and people need those of all. A server finds
them in variables (SERVICES_*) and in a folder with one file for each password, on one host and in a
container alike.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from seq2seq.common.errors import UserError

ROOT = Path(__file__).parents[2]
PORTS = {  # of the loopback; SERVICES_PORT_OFFSET is added to each
    "database": 55432,
    "store": 8333,
    "store-master": 9333,  # SeaweedFS adds 10000 for the gRPC port of each of its four
    "store-volume": 9334,
    "store-filer": 9335,
    "mlflow": 5000,
    "prefect": 4200,
    "serve": 5005,
    "worker-1": 4301,  # the health check of the first worker, and so on
}
GRPC = 10000
SERVERS = ("database", "store", "mlflow", "prefect")  # those that others call
STORES = ("seaweedfs", "rclone")
DATABASES = ("prefect", "mlflow")  # each with an owner of the same name
BUCKETS = ("mlflow", "dvc")  # each with a key of the same name
REGION = "us-east-1"
MLFLOW_ADMIN = "admin"
SECRETS = (
    "database-password",  # of PostgreSQL's superuser
    *(f"database-{name}-password" for name in DATABASES),
    "store-admin-secret",
    *(f"store-{name}-secret" for name in BUCKETS),
    "mlflow-admin-password",
    "mlflow-session-key",
    "prefect-login",  # USER:PASSWORD
)
OLDEST_POSTGRES = 14  # the oldest version that the Prefect server supports


@dataclass(frozen=True)
class Topology:
    """Where the servers are; `addresses` has HOST:PORT by server."""

    folder: Path  # of all data, logs and generated files
    secrets: Path  # a folder with one file for each name of SECRETS
    bind: str  # the address of the interface on which servers listen
    addresses: dict[str, str]
    offset: int = 0
    store: str = STORES[0]

    def port(self, name: str) -> int:
        """The port on which a server listens, or that of a worker's health check."""
        if name in self.addresses:
            return int(self.addresses[name].rpartition(":")[2])
        if name.startswith("worker-"):
            return PORTS["worker-1"] + int(name.removeprefix("worker-")) - 1 + self.offset
        return PORTS[name] + self.offset

    def ports(self, name: str) -> list[int]:
        """All ports of a server."""
        if name != "store" or self.store != "seaweedfs":
            return [self.port(name)]
        http = [self.port(part) for part in ("store", "store-master", "store-volume", "store-filer")]
        return [*http, *(port + GRPC for port in http)]

    def url(self, name: str) -> str:
        """The address of an HTTP server."""
        return f"http://{self.addresses[name]}"

    def secret(self, name: str) -> str:
        """A password; raises UserError if it has not been generated."""
        try:
            return (self.secrets / name).read_text("utf-8").strip()
        except OSError as error:
            raise UserError(
                f"the file {self.secrets / name} with a password cannot be read ({error.strerror}); "
                "`make services` and `make services-secrets` generate it"
            ) from None

    def database_url(self, name: str, driver: str) -> str:
        """The address of one of DATABASES, with its password; the driver is always named."""
        password = quote(self.secret(f"database-{name}-password"), safe="")
        return f"postgresql+{driver}://{name}:{password}@{self.addresses['database']}/{name}"

    def variables(self) -> dict[str, str]:
        """The variables from which another process makes the same topology."""
        where = {f"SERVICES_{name.upper()}": self.addresses[name] for name in SERVERS}
        return where | {
            "SERVICES_FOLDER": str(self.folder),
            "SERVICES_SECRETS": str(self.secrets),
            "SERVICES_BIND": self.bind,
            "SERVICES_PORT_OFFSET": str(self.offset),
            "SERVICES_STORE_KIND": self.store,
        }

    def user_variables(self) -> dict[str, str]:
        """The variables with which a person or a worker uses the servers."""
        return {
            "PREFECT_API_URL": f"{self.url('prefect')}/api",
            "PREFECT_API_AUTH_STRING": self.secret("prefect-login"),
            **self.registry_variables(),
            "AWS_ACCESS_KEY_ID": "dvc",
            "AWS_SECRET_ACCESS_KEY": self.secret("store-dvc-secret"),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": self.url("store"),
        }

    def registry_variables(self) -> dict[str, str]:
        """The variables with which a process uses the MLflow server alone."""
        return {
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "MLFLOW_TRACKING_USERNAME": MLFLOW_ADMIN,
            "MLFLOW_TRACKING_PASSWORD": self.secret("mlflow-admin-password"),
        }


def from_environment() -> Topology:
    """The topology that the SERVICES_* variables describe; by default the one of `make services`.

    Raises UserError for a value that is not possible.
    """
    given = os.environ.get
    offset_text, store = given("SERVICES_PORT_OFFSET", "0"), given("SERVICES_STORE_KIND", STORES[0])
    if store not in STORES:
        raise UserError(f"SERVICES_STORE_KIND={store} is no store: {' or '.join(STORES)}")
    highest = 65535 - max(PORTS.values()) if store != "seaweedfs" else 65535 - PORTS["store-filer"] - GRPC
    highest = min(highest, 65535 - PORTS["database"])
    if not offset_text.isdigit() or int(offset_text) > highest:
        raise UserError(f"SERVICES_PORT_OFFSET={offset_text} must be a number from 0 to {highest}")
    offset = int(offset_text)
    addresses = {n: given(f"SERVICES_{n.upper()}") or f"127.0.0.1:{PORTS[n] + offset}" for n in SERVERS}
    for name, address in addresses.items():
        if not address.rpartition(":")[2].isdigit():
            raise UserError(f"SERVICES_{name.upper()}={address} must be HOST:PORT")
    folder = Path(given("SERVICES_FOLDER") or ROOT / ".services").resolve()
    passwords = Path(given("SERVICES_SECRETS") or folder / "secrets").resolve()
    return Topology(folder, passwords, given("SERVICES_BIND", "127.0.0.1"), addresses, offset, store)


def write_secrets(folder: Path, mode: int = 0o600) -> None:
    """Generate the passwords that are missing, into a folder that only this user can enter."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in SECRETS:
        value = secrets.token_hex(24)
        with_user = f"team:{value}" if name == "prefect-login" else value
        try:
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{with_user}\n")
        (folder / name).chmod(mode)  # whatever the umask is


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only this user can read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def env_file(topology: Topology) -> str:
    """The text of the file that people source."""
    lines = [f"export {name}='{value}'" for name, value in topology.user_variables().items()]
    return "\n".join(["# Written by `make services`; has passwords.", *lines, ""])


def identities(topology: Topology) -> str:
    """The keys of SeaweedFS: one that may all, and one for each bucket that may use this bucket alone."""
    rights = {"admin": ["Admin", "Read", "Write", "List", "Tagging"]}
    rights |= {
        name: [f"{right}:{name}" for right in ("Read", "Write", "List", "Tagging")] for name in BUCKETS
    }
    found = [
        {
            "name": name,
            "credentials": [{"accessKey": name, "secretKey": topology.secret(f"store-{name}-secret")}],
            "actions": actions,
        }
        for name, actions in rights.items()
    ]
    return json.dumps({"identities": found}, indent=1)
