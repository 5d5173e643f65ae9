"""A version as a function of Spark: two executors translate as one process, and null gives an empty text.

Pyspark is an extra, and Spark needs Java: `make test-spark` installs the extra and runs this file.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from seq2seq import register
from seq2seq.tracking import client, registry
from tests.support.untrained import CHECKED, SENTENCES

pytest.importorskip("pyspark", reason="the extra `spark` is not installed")

JAVA = Path(os.environ["JAVA_HOME"], "bin/java") if "JAVA_HOME" in os.environ else "java"
pytestmark = pytest.mark.skipif(
    shutil.which(JAVA) is None, reason="Spark needs Java, e.g. Debian's openjdk-17-jre-headless"
)

TEXTS = [None, "", *(f"{text} {number}" for number in range(7) for text in SENTENCES)]
PARTITIONS = 4
# In a process of its own, because Spark changes signals and modules of its own process. The executors of
# the master `local` would be threads of one process.
PROGRAM = """
import json, os, sys
import mlflow.pyfunc
from pyspark.sql import SparkSession, functions

uri, partitions, texts = sys.argv[1], int(sys.argv[2]), json.load(sys.stdin)
builder = SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", "false")
settings = {"driver.bindAddress": "127.0.0.1", "locality.wait": "0"}
settings |= {"scheduler.minRegisteredResourcesRatio": "1"}
settings |= {"scheduler.maxRegisteredResourcesWaitingTime": "300s"}
for name, value in settings.items():
    builder = builder.config(f"spark.{name}", value)  # it begins with both executors, and uses both
spark = builder.getOrCreate()
translate = mlflow.pyfunc.spark_udf(spark, uri, result_type="string", env_manager="local")
table = spark.createDataFrame(list(enumerate(texts)), "row int, text string").repartition(partitions)
where = functions.udf(lambda: os.environ.get("SPARK_EXECUTOR_DIRS", ""), "string")
found = table.select("row", translate("text").alias("translation"), where().alias("where")).collect()
print(json.dumps([list(row) for row in sorted(found)]))
spark.stop()
"""


@pytest.fixture
def cluster_files() -> Iterator[None]:
    """Removes the folders that the executors made beside Spark, the only place for them on one machine."""
    work = Path(importlib.util.find_spec("pyspark").origin).with_name("work")
    before = {*work.glob("app-*")}
    yield
    for folder in {*work.glob("app-*")} - before:
        shutil.rmtree(folder)
    if not before:  # without pyspark, a folder of that name that is left would be imported as a package
        shutil.rmtree(work, ignore_errors=True)


@pytest.mark.usefixtures("cluster_files")
def test_a_cluster_translates_as_one_process(unregistered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register.register(CHECKED)
    version = registry.version_by_alias(CHECKED.register.name, "challenger")
    mlflow.set_tracking_uri(client.uri())
    expected = mlflow.pyfunc.load_model(version.uri).predict(TEXTS)
    assert len({*expected}) > len(SENTENCES)  # else a mistaken order could not be noticed
    settings = {"MLFLOW_TRACKING_URI": client.uri(), "PYSPARK_PYTHON": sys.executable}
    settings |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(unregistered / "spark")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, version.uri, str(PARTITIONS)],
        env={**os.environ, **settings},
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [translation for _, translation, _ in rows] == [text or "" for text in expected]
    assert len({where for _, _, where in rows}) == 2, "one executor translated all"
