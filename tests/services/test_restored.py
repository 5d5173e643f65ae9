"""The hosted set after a backup, a wipe and a restore; permissions; passwords stay out of what it writes."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

from infra.backup import manifest as manifests
from infra.services import run
from infra.services.topology import SECRETS
from tests.services.conftest import PLANTED, Hosted, services
from tests.services.test_hosted import prefect, retrain
from tests.support import projects

pytestmark = pytest.mark.timeout(1500)
NAME = "grammar-tiny"


def seq2seq(hosted: Hosted, folder: Path, *words: str, **other: str) -> subprocess.CompletedProcess[str]:
    """A command of this project in the environment that people source."""
    return subprocess.run(
        [sys.executable, "-m", "flows", *words],
        cwd=folder,
        env=projects.environment(**{**hosted.variables, **other}),
        capture_output=True,
        text=True,
        check=False,
    )


def backup(hosted: Hosted, *words: str) -> subprocess.CompletedProcess[str]:
    return services(hosted.project, hosted.repository, *words, module="infra.backup")


@pytest.fixture(scope="module")
def ran(hosted: Hosted) -> Hosted:
    """The set after a run that registered and promoted a model."""
    finished, _ = retrain(hosted)
    assert finished["state_name"] == "Completed", hosted.log("worker-1") + hosted.log("worker-2")
    return hosted


def test_an_account_that_may_only_read_is_refused_by_promote(ran: Hosted) -> None:
    password = secrets.token_hex(12)
    code = (
        "import os, mlflow.server\n"
        "client = mlflow.server.get_app_client('basic-auth', os.environ['MLFLOW_TRACKING_URI'])\n"
        f"client.create_user('reader', {password!r})\n"
    )
    made = subprocess.run(
        [sys.executable, "-c", code],
        env=projects.environment(**ran.variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    login = {"MLFLOW_TRACKING_USERNAME": "reader", "MLFLOW_TRACKING_PASSWORD": password}
    history = seq2seq(ran, ran.project, "history", NAME, **login)
    assert history.returncode == 0, history.stderr
    assert "promoted" in history.stdout
    clone = ran.project / ".cache/retrain/retrain"
    forget = f"import mlflow; mlflow.MlflowClient().delete_registered_model_alias({NAME!r}, 'champion')"
    subprocess.run([sys.executable, "-c", forget], env=projects.environment(**ran.variables), check=True)
    refused = seq2seq(ran, clone, "promote", "--force", "--reason", "mine is better", **login)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "this account may not do that: promoting" in refused.stderr
    assert password not in refused.stdout + refused.stderr
    promoted = seq2seq(ran, clone, "promote", "--force", "--reason", "the administrator may")
    assert promoted.returncode == 0, promoted.stdout + promoted.stderr
    log = seq2seq(ran, ran.project, "history", NAME)
    assert "mine is better" not in log.stdout
    assert "the administrator may" in log.stdout


def test_changed_code_of_a_version_in_the_store_is_not_run(ran: Hosted, tmp_path: Path) -> None:
    admin = (ran.project / ".services/secrets/store-admin-secret").read_text().strip()
    store = boto3.client(
        "s3",
        endpoint_url=ran.variables["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id="admin",
        aws_secret_access_key=admin,
        region_name="us-east-1",
    )
    [key] = [
        one["Key"]
        for one in store.list_objects_v2(Bucket="mlflow")["Contents"]
        if one["Key"].endswith("artifacts/pyfunc.py")
    ]
    before = store.get_object(Bucket="mlflow", Key=key)["Body"].read()
    sign = tmp_path / "executed"
    store.put_object(Bucket="mlflow", Key=key, Body=f"open({str(sign)!r}, 'w').close()\n".encode() + before)
    load = [sys.executable, "-m", "seq2seq.gate.isolated", f"models:/{NAME}/1"]

    def loaded() -> subprocess.CompletedProcess[str]:
        variables = projects.environment(**ran.variables)
        return subprocess.run(
            load, cwd=ran.project, env=variables, capture_output=True, text=True, check=False
        )

    try:
        refused = loaded()
    finally:
        store.put_object(Bucket="mlflow", Key=key, Body=before)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "are not those that were registered" in refused.stderr
    assert not sign.exists()
    accepted = loaded()
    assert accepted.returncode == 0, accepted.stderr


def test_a_wiped_set_is_restored(ran: Hosted, tmp_path: Path) -> None:
    history = seq2seq(ran, ran.project, "history", NAME)
    assert history.returncode == 0, history.stderr
    deployments = {d["name"] for d in prefect(ran, "deployments/filter", {})}
    times: dict[str, float] = {}
    began = time.monotonic()
    folder = tmp_path / "whole"
    done = backup(ran, "make", str(folder), "--with-secrets")
    assert done.returncode == 0, done.stdout + done.stderr
    times["backup"] = time.monotonic() - began
    without = tmp_path / "without"
    done = backup(ran, "make", str(without))
    assert done.returncode == 0, done.stdout + done.stderr

    # A set with content is refused, and so is a damaged backup; nothing is written.
    refused = backup(ran, "restore", str(folder))
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "a backup is restored into an empty set; `FORCE=1` replaces its content" in refused.stderr

    stopped = services(ran.project, ran.repository, "stop", "--delete-data")
    assert stopped.returncode == 0, stopped.stderr
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    dump = damaged / "databases/mlflow.dump"
    dump.write_bytes(dump.read_bytes()[:-1] + b"?")
    refused = backup(ran, "restore", str(damaged))
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "mlflow.dump has another sha256; nothing is restored" in refused.stderr
    assert not (ran.project / ".services").exists()

    for place in (".cache", ".dvc/cache"):
        shutil.rmtree(ran.project / place, ignore_errors=True)
    began = time.monotonic()
    restored = backup(ran, "restore", str(folder))
    times["restore"] = time.monotonic() - began
    assert restored.returncode == 0, restored.stdout + restored.stderr
    print("seconds", times, manifests.read(folder).size())
    assert seq2seq(ran, ran.project, "history", NAME).stdout == history.stdout
    words = ("translate", "--model", f"models:/{NAME}@champion", "ein Hund")
    translated = seq2seq(ran, ran.project, *words)
    assert translated.returncode == 0, translated.stderr
    assert {d["name"] for d in prefect(ran, "deployments/filter", {})} == deployments
    run_again, tasks = retrain(ran)
    assert run_again["state_name"] == "Completed"
    assert tasks["train"] == "Restored"  # from the restored objects of the bucket dvc


def test_no_password_is_in_logs_databases_or_objects(ran: Hosted, tmp_path: Path) -> None:
    secret_values = {
        name: (ran.project / ".services/secrets" / name).read_text().strip().rpartition(":")[2]
        for name in SECRETS
    } | PLANTED
    folder = tmp_path / "backup"
    done = backup(ran, "make", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    texts = {path.name: path.read_bytes() for path in (ran.project / ".services/logs").iterdir()}
    for path in folder.rglob("*"):
        if path.suffix == ".dump":
            restore = run.postgres_programs() / "pg_restore"
            texts[path.name] = subprocess.run(
                [restore, "--file=-", path], capture_output=True, check=True
            ).stdout
        elif path.is_file():
            texts[path.relative_to(folder).as_posix()] = path.read_bytes()
    assert len(texts["mlflow.dump"]) > 10_000
    found = [
        (name, place)
        for name, value in secret_values.items()
        for place, text in texts.items()
        if value.encode() in text
    ]
    assert found == []
