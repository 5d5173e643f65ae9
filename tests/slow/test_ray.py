"""clean as tasks of Ray: a cluster of three nodes, one of which is killed at work, writes the same bytes.

Ray is an extra: `make test-ray` installs it and runs this file.
"""

import pytest

from seq2seq.common import paths, shards
from seq2seq.common.errors import UserError
from tests.support import shard_work
from tests.support.cleaned import outputs, run

pytest.importorskip("ray", reason="the extra `ray` is not installed")


@pytest.fixture
def cluster(monkeypatch):
    """Three nodes on this machine, with a processor each."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    monkeypatch.setenv("SEQ2SEQ_ENGINE", "ray")
    monkeypatch.setenv("RAY_ADDRESS", made.address)
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_node_killed_at_work_changes_no_byte(tmp_path, monkeypatch, cluster):
    from seq2seq.data import cleaning
    from seq2seq.data.cleaning import cut
    from tests.support.cleaned import mixed

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cleaning, "cut", lambda sources: cut(sources, 2))
    monkeypatch.setenv("SEQ2SEQ_ENGINE", "processes")
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "1")
    run(mixed())
    expected = outputs()

    over, done = shards.over, []

    def killing(work, parts):
        """As `over`; after a few results one node dies without warning."""
        for result in over(work, parts):
            done.append(result)
            if len(done) == 5:
                cluster.remove_node(sorted(cluster.worker_nodes, key=str)[0], allow_graceful=False)
            yield result

    monkeypatch.setenv("SEQ2SEQ_ENGINE", "ray")
    monkeypatch.setattr(shards, "over", killing)
    run(mixed())
    assert len(done) > 20
    assert outputs() == expected
    assert not paths.CHECKPOINTS.exists()


def test_an_error_of_the_work_comes_through(cluster):
    with pytest.raises(UserError, match=r"^shard 3 is wrong$"):
        list(shards.over(shard_work.fail, range(20)))
