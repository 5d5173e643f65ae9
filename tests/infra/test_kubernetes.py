"""The files for Kubernetes agree with the rest; infra/kubernetes/README.md lists the checks made by hand."""

from __future__ import annotations

import json
import re
from typing import Any

from ruamel.yaml import YAML

from flows.__main__ import parser
from seq2seq.serving.settings import Settings
from tests.support.projects import ROOT

FOLDER = ROOT / "infra/kubernetes"


def read(path: str) -> Any:
    return YAML(typ="safe").load((ROOT / "infra" / path).read_text())


def pinned(name: str) -> str:
    return re.search(rf"^{name}==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]


def test_the_deployments_are_those_of_every_host_but_for_the_pool():
    ours, other = read("prefect.yaml"), read("kubernetes/prefect.yaml")
    pools = [{deployment.pop("work_pool")["name"] for deployment in d["deployments"]} for d in (ours, other)]
    assert pools == [{"seq2seq"}, {"seq2seq-kubernetes"}]
    assert ours["deployments"] == other["deployments"]
    assert read("kubernetes/prefect-worker.yaml")["worker"]["config"]["workPool"] == "seq2seq-kubernetes"


def test_a_run_chooses_neither_command_nor_image_nor_environment():
    template = json.loads((FOLDER / "base-job-template.json").read_text())
    assert template["variables"] == {"type": "object", "properties": {}, "additionalProperties": False}
    assert "{{" not in json.dumps(template)


def test_a_run_has_a_gpu_and_no_root():
    manifest = json.loads((FOLDER / "base-job-template.json").read_text())["job_configuration"][
        "job_manifest"
    ]
    pod = manifest["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    user = re.search(r"ARG UID=(\d+)", (ROOT / "infra/Dockerfile").read_text())[1]
    assert pod["securityContext"]["runAsUser"] == int(user)
    assert read("kubernetes/mlflow.yaml")["podSecurityContext"]["runAsUser"] == int(user)


def test_the_charts_run_the_locked_release_of_prefect():
    tags = [
        read("kubernetes/prefect-server.yaml")["global"]["prefect"]["image"]["prefectTag"],
        read("kubernetes/prefect-worker.yaml")["worker"]["image"]["prefectTag"],
    ]
    assert [tag.split("-")[0] for tag in tags] == [pinned("prefect")] * 2


def test_the_server_is_started_probed_and_stopped_as_its_code_allows():
    deployment, service = YAML(typ="safe").load_all((FOLDER / "serve.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    options = parser().parse_args(container["args"])
    assert options.command == "serve"
    assert options.host == "0.0.0.0"
    assert options.port == container["ports"][0]["containerPort"] == service["spec"]["ports"][0]["port"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["path"] == "/health"
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + Settings().grace
    user = re.search(r"ARG UID=(\d+)", (ROOT / "infra/Dockerfile").read_text())[1]
    assert pod["securityContext"]["runAsUser"] == int(user)


def test_no_file_has_a_password():
    for path in FOLDER.iterdir():
        assert not re.search(r"(authString|password): *\S", path.read_text(), re.IGNORECASE), path
