"""Questions to the MLflow server of hosted cells: open runs, versions, aliases, points of a training.

Why: the registry of a team is behind a server, so that the checks cannot read its database as a file.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from infra.crash_matrix.checks import CURVE, Curve
from infra.crash_matrix.server import Client

MOST = 1000  # of one answer


class Registry:
    """MLflow's REST API, with a login USER:PASSWORD."""

    def __init__(self, address: str, login: str) -> None:
        self.client = Client(f"{address}/api/2.0/mlflow", login)

    def open_runs(self) -> set[str]:
        """The ids of runs that have not ended; raises OSError, as all of these."""
        found = self.client.request("experiments/search", {"max_results": MOST})
        experiments = [experiment["experiment_id"] for experiment in found.get("experiments", [])]
        wanted = {"experiment_ids": experiments, "max_results": MOST}
        wanted["filter"] = "attributes.status = 'RUNNING'"
        found = self.client.request("runs/search", wanted)
        return {run["info"]["run_id"] for run in found.get("runs", [])}

    def runs_of_versions(self) -> list[str]:
        """The ids of the runs that made the versions, the newest version first."""
        found = self._get("model-versions/search", max_results=MOST).get("model_versions", [])
        return [one["run_id"] for one in sorted(found, key=lambda one: -int(one["version"]))]

    def unready(self) -> list[str]:
        """The versions that are not ready."""
        found = self._get("model-versions/search", max_results=MOST).get("model_versions", [])
        return [f"{one['name']} {one['version']}" for one in found if one["status"] != "READY"]

    def without(self, alias: str) -> list[str]:
        """The registered models that lack an alias."""
        found = self._get("registered-models/search", max_results=MOST).get("registered_models", [])
        return [
            one["name"] for one in found if alias not in {entry["alias"] for entry in one.get("aliases", [])}
        ]

    def curve(self, run: str) -> Curve:
        """The points of a training."""
        found: Curve = []
        for key in CURVE:
            answer = self._get("metrics/get-history", run_id=run, metric_key=key, max_results=MOST)
            found += [
                (key, int(point.get("step", 0)), float(point["value"])) for point in answer.get("metrics", [])
            ]
        return sorted(found)

    def _get(self, path: str, **query: object) -> dict[str, list[dict[str, Any]]]:
        answer: dict[str, list[dict[str, Any]]] = self.client.request(
            f"{path}?{urlencode(query)}", method="GET"
        )
        return answer
