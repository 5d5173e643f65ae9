"""Addresses, ports and passwords of the team's servers."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from infra.services import run, supervise, topology
from infra.services.__main__ import main, names
from infra.services.topology import SECRETS, Topology
from seq2seq.common.errors import UserError


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("SERVICES_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SERVICES_FOLDER", str(tmp_path / "set"))


@pytest.fixture
def where() -> Topology:
    found = topology.from_environment()
    topology.write_secrets(found.secrets)
    return found


def test_no_two_servers_share_a_port(monkeypatch):
    monkeypatch.setenv("SERVICES_PORT_OFFSET", "100")
    where = topology.from_environment()
    ports = [port for name in names(8) for port in where.ports(name)]
    assert len(ports) == len(set(ports))
    assert where.port("prefect") == 4300
    assert where.url("mlflow") == "http://127.0.0.1:5100"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVICES_PORT_OFFSET", "-1"),
        ("SERVICES_PORT_OFFSET", "60000"),
        ("SERVICES_STORE_KIND", "floppy"),
        ("SERVICES_MLFLOW", "localhost"),
        ("SERVICES_MLFLOW_PERMISSION", "MANAGE"),
    ],
)
def test_impossible_settings_are_refused(monkeypatch, where, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"{name}={re.escape(value)}"):
        run.plan("mlflow", topology.from_environment())


def test_a_child_process_finds_the_same_topology(monkeypatch, where):
    changed = Topology(where.folder, where.secrets, "0.0.0.0", {**where.addresses}, 7, "rclone")
    for name, value in changed.variables().items():
        monkeypatch.setenv(name, value)
    assert topology.from_environment() == changed


def test_passwords_are_private_long_and_stay(where):
    assert where.secrets.stat().st_mode & 0o777 == 0o700
    values = {name: where.secret(name) for name in SECRETS}
    assert len(set(values.values())) == len(SECRETS)
    assert min(map(len, values.values())) >= 48
    for name in SECRETS:
        assert (where.secrets / name).stat().st_mode & 0o777 == 0o600
    topology.write_secrets(where.secrets)
    assert {name: where.secret(name) for name in SECRETS} == values


def test_the_secrets_of_containers_are_readable_in_a_folder_that_others_cannot_enter(tmp_path):
    assert main(["secrets", str(tmp_path / "secrets")]) == 0
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o444}


def test_a_missing_password_names_its_file_and_the_remedy(where):
    (where.secrets / "prefect-login").unlink()
    with pytest.raises(UserError, match=r"prefect-login .*make services"):
        where.user_variables()


def test_a_shell_reads_the_env_file(where, tmp_path):
    topology.write_private(tmp_path / "env", topology.env_file(where))
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600
    found = subprocess.run(
        ["sh", "-c", f". {tmp_path / 'env'}; env -0"], capture_output=True, text=True, check=True, env={}
    )
    variables = dict(line.split("=", 1) for line in found.stdout.split("\0") if line)
    assert where.user_variables().items() <= variables.items()


@pytest.mark.parametrize("store", topology.STORES)
def test_no_password_stands_in_a_command_line(monkeypatch, where, store):
    monkeypatch.setenv("SERVICES_STORE_KIND", store)
    where = topology.from_environment()
    for name in ("store", "mlflow", "prefect", "deploy", "worker-1"):
        words = " ".join(run.plan(name, where).command)
        assert not [secret for secret in SECRETS if where.secret(secret) in words]
    private = [path for path in where.folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o077 for path in private} == {0}


def test_servers_ask_for_the_login_that_workers_give_and_name_their_page(where):
    server, worker = run.plan("prefect", where).variables, run.plan("worker-1", where).variables
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == worker["PREFECT_API_AUTH_STRING"]
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == where.secret("prefect-login")
    assert server["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4200"
    tracking = run.plan("mlflow", where)
    assert "basic-auth" in tracking.command
    assert tracking.variables["MLFLOW_AUTH_ADMIN_PASSWORD"] == worker["MLFLOW_TRACKING_PASSWORD"]


def test_a_key_of_a_bucket_has_no_right_on_another(where):
    rights = {one["name"]: one["actions"] for one in json.loads(topology.identities(where))["identities"]}
    assert all(right.endswith(":dvc") for right in rights["dvc"])
    assert all(right.endswith(":mlflow") for right in rights["mlflow"])
    assert {name for name, found in rights.items() if "Admin" in found} == {"admin"}


def test_a_taken_port_is_named_with_its_process():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"port {port} of mlflow is taken by process {os.getpid()} "
        ) as e:
            supervise.check_ports({"mlflow": [port]})
    assert "SERVICES_PORT_OFFSET" in str(e.value)
    supervise.check_ports({"mlflow": [port]})


def test_a_number_that_another_process_has_got_is_not_stopped(tmp_path):
    processes = supervise.Processes(tmp_path)
    processes.records["mlflow"] = {"pid": os.getpid(), "began": 1.0, "seconds": None}
    assert processes.running("mlflow") is None
    assert processes.stop(["mlflow"]) == []


def test_missing_packages_are_one_error_that_names_the_commands(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter([]))
    assert main(["start"]) == 2
    error = capsys.readouterr().err
    assert "apt-get install --yes postgresql" in error
    assert "weed" in error
    assert ".[services]" in error


def test_stop_without_a_set_is_no_error(capsys):
    assert main(["stop"]) == 0
    assert "nothing runs" in capsys.readouterr().out


def test_data_of_one_store_are_not_opened_with_another(tmp_path, capsys):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/settings.json").write_text('{"store": "rclone", "workers": 1, "offset": 0}')
    assert main(["start", "--store", "seaweedfs"]) == 2
    assert "are in the store rclone" in capsys.readouterr().err
