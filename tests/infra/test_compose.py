"""infra/compose.yaml and `make services` describe one topology; the image has no history and no password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infra.services import run, topology
from infra.services.__main__ import names
from infra.services.topology import PORTS, SECRETS, SERVERS
from seq2seq.__main__ import add_commands, new_parser
from seq2seq.common.errors import UserError
from tests.support.projects import ROOT

DOCKERFILE = (ROOT / "infra/Dockerfile").read_text()


def read(name: str) -> dict[str, Any]:
    return YAML(typ="safe").load((ROOT / "infra" / name).read_text())


COMPOSE = read("compose.yaml")
SERVICES = COMPOSE["services"]
COMMAND = ["python", "-m", "infra.services"]
OURS = {name: service for name, service in SERVICES.items() if name != "database"}


@pytest.fixture
def contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The topology in a container of a service: its variables and its secrets."""

    def enter(name: str) -> topology.Topology:
        secrets = tmp_path / name / "secrets"
        topology.write_secrets(secrets)
        for secret in SECRETS:
            if secret not in SERVICES[name]["secrets"]:
                (secrets / secret).unlink()
        for variable, value in SERVICES[name]["environment"].items():
            if variable.startswith("SERVICES_") and "$" not in str(value):  # of the person's environment
                monkeypatch.setenv(variable, str(value))
        monkeypatch.delenv("SERVICES_PORT_OFFSET", raising=False)  # of this host, not of a container
        monkeypatch.setenv("SERVICES_FOLDER", str(tmp_path / name))
        monkeypatch.setenv("SERVICES_SECRETS", str(secrets))
        return topology.from_environment()

    return enter


def test_both_have_the_same_servers():
    assert set(SERVICES) == {*names(2), "prepare", "deploy", "serve"}
    for name, service in OURS.items():
        assert service["command"] == (["prepare"] if name == "prepare" else ["run", name])


@pytest.mark.parametrize("name", [name for name in OURS if name != "prepare"])
def test_each_container_has_exactly_the_passwords_that_its_server_reads(contained, name):
    where = contained(name)
    program = run.plan(name, where)
    assert "0.0.0.0" in " ".join([*program.command, *program.variables.values()]) or name == "deploy"
    for secret in SERVICES[name]["secrets"]:
        value = (where.secrets / secret).read_text()
        (where.secrets / secret).unlink()
        with pytest.raises(UserError, match=secret):
            run.plan(name, where)
        (where.secrets / secret).write_text(value)


def test_the_step_between_has_the_passwords_of_databases_and_store():
    ours = {
        "database-password",
        "store-admin-secret",
        *(f"database-{n}-password" for n in topology.DATABASES),
    }
    assert set(SERVICES["prepare"]["secrets"]) == ours


def test_all_variables_are_known_and_all_addresses_given():
    known = {*topology.from_environment().variables()}
    known |= {"SERVICES_PREFECT_PAGE", "SERVICES_MLFLOW_PERMISSION", "SERVICES_SERVE_MODEL"}
    for service in OURS.values():
        given = {name for name in service["environment"] if name.startswith("SERVICES_")}
        assert given <= known
        assert {f"SERVICES_{name.upper()}" for name in SERVERS} <= given
        for name in SERVERS:
            host, _, port = service["environment"][f"SERVICES_{name.upper()}"].partition(":")
            assert host == name
            assert int(port) == (5432 if name == "database" else PORTS[name])


def test_every_password_is_a_file_that_git_ignores():
    files = {name: secret["file"] for name, secret in COMPOSE["secrets"].items()}
    assert files == {name: f"secrets/{name}" for name in SECRETS}
    assert "/infra/secrets/" in (ROOT / ".gitignore").read_text().split()
    text = (ROOT / "infra/compose.yaml").read_text()
    assert not re.search(r"PASSWORD: (?!/run/secrets)", text)


def test_ports_are_published_on_the_loopback_only():
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    for name, ports in published.items():
        is_public = name in ("prefect", "mlflow", "serve")
        assert ports == ([f"127.0.0.1:{PORTS[name]}:{PORTS[name]}"] if is_public else [])


def test_containers_of_ours_are_read_only_and_without_rights():
    for name, service in OURS.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert any(entry.startswith("/var/lib/seq2seq") for entry in service["tmpfs"]), name
    for name in (*names(2), "serve"):
        assert "healthcheck" in SERVICES[name], name
        if name != "database":
            assert SERVICES[name]["healthcheck"]["test"][1:] == [*COMMAND, "health", name]


def test_the_server_of_translations_follows_the_champion_of_the_registry(contained, monkeypatch):
    where = contained("serve")
    program = run.plan("serve", where)
    options = program.command[program.command.index("serve") + 1 :]
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert given["--host"] == "0.0.0.0"
    assert given["--port"] == str(PORTS["serve"])
    assert "--model" not in given  # the champion of params.yaml, which the image has
    assert program.variables["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    mounts = dict(reversed(volume.split(":")) for volume in SERVICES["serve"]["volumes"])
    corrections = Path("/var/lib/seq2seq", Path(given["--corrections"]).relative_to(where.folder))
    assert corrections.parent.as_posix() in mounts
    assert "/opt/seq2seq/.cache" in mounts  # seq2seq/tracking/registry.py downloads versions there
    assert set(mounts.values()) <= set(COMPOSE["volumes"])
    made = re.search(r"mkdir --parents ([^\\\n]*)", DOCKERFILE)[1].split()
    assert set(mounts) <= set(made)  # with the user of the image as owner, which a new volume takes over
    assert SERVICES["serve"]["profiles"] == ["serve"]
    monkeypatch.setenv("SERVICES_SERVE_MODEL", "models:/other@champion")
    assert run.plan("serve", where).command[-2:] == ["--model", "models:/other@champion"]


def test_its_settings_are_options_of_the_program(contained):
    program = run.plan("serve", contained("serve"))
    options = program.command[program.command.index("serve") :]
    parser, commands = new_parser()
    add_commands(commands)
    parsed = parser.parse_args(options)
    assert (parsed.host, parsed.port) == ("0.0.0.0", PORTS["serve"])


def test_images_are_pinned_and_new_enough():
    major = re.match(r"postgres:(\d+)\.\d+-", SERVICES["database"]["image"])[1]
    assert int(major) >= topology.OLDEST_POSTGRES
    assert re.search(r"ARG PYTHON=3\.\d+\.\d+-slim", DOCKERFILE)
    assert "-c constraints.txt" in DOCKERFILE
    assert ".[services,serve]" in DOCKERFILE


def test_the_image_is_no_root_and_its_user_owns_what_it_writes():
    user = re.search(r"ARG UID=(\d+)", DOCKERFILE)[1]
    assert "\nUSER ${UID}:${UID}\n" in DOCKERFILE
    for service in OURS.values():
        for entry in service["tmpfs"]:
            assert entry == "/tmp" or f"uid={user},gid={user}" in entry


def test_the_image_has_neither_history_nor_passwords():
    left_out = (ROOT / "infra/Dockerfile.dockerignore").read_text().split()
    assert {".git", "infra/secrets", ".services", "**/.env"} <= set(left_out)


def test_a_gpu_is_an_addition_to_a_service_that_exists():
    assert set(read("compose.gpu.yaml")["services"]) <= set(SERVICES)
