"""Runs on a Ray cluster equal those of one process, with workers and the driver killed; skipped without Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests_support import compared, tiny_settings

from evonas.ablate import run_grid
from evonas.config import to_yaml
from evonas.engines.engine import engine
from evonas.engines.on_ray import RayCrew
from evonas.errors import ConfigError
from evonas.experiment import start
from evonas.plan import check
from evonas.progress import Silent

pytest.importorskip("ray", reason="Ray is not installed (pip install 'evonas[ray]')")
pytestmark = [
    # Ray leaves pipes and files of its own processes to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
MARK = "EVONAS_TEST_CLUSTER"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """An engine on a cluster of two processors; what it starts is marked by a variable."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, str(os.getpid()))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        if "RAY_ADDRESS" not in os.environ:
            try:
                ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
            except Exception as error:
                pytest.skip(f"no Ray cluster can be started on this machine: {error}")
        with engine("ray") as made:
            yield made


def marked(mark: str, name: str = "") -> list[int]:
    """Processes that a cluster of ours has started, by the beginning of their title."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment, title = (path / "environ").read_bytes(), (path / "cmdline").read_text()
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in environment.split(b"\0") and title.startswith(name):
            found.append(int(path.name))
    return found


@pytest.mark.parametrize("algorithm", [pytest.param("ga", marks=pytest.mark.slow), "nsga2"])
def test_a_run_whose_workers_are_killed_equals_the_local_one(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    settings = tiny_settings(f"search.algorithm={algorithm}", "retrain.top=2", "retrain.seeds=2")
    start(settings, tmp_path / "local", Silent())
    answered, waits, killed = RayCrew._answered, 0, []

    def killing(self: RayCrew, workers: Any) -> Any:
        nonlocal waits
        waits += 1
        if waits in (4, 9):  # in the search, and in retraining
            victim = self._ray.get(workers[0]._actor.__ray_call__.remote(lambda servant: os.getpid()))
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
        return answered(self, workers)

    monkeypatch.setattr(RayCrew, "_answered", killing)
    start(settings, tmp_path / "ray", Silent(), engine=cluster)
    assert len(killed) == 2
    assert compared(tmp_path / "ray") == compared(tmp_path / "local")
    best = [(tmp_path / name / "best" / "model.safetensors").read_bytes() for name in ("local", "ray")]
    assert best[0] == best[1]


@pytest.mark.slow
def test_arms_run_as_tasks(cluster: Any, tmp_path: Path) -> None:
    settings = check({**tiny_settings("retrain.enabled=false", "audit.table=null").model_dump(mode="json")})
    for name, where in (("local", None), ("ray", cluster)):
        made = run_grid(
            settings, tmp_path / name, arms=["uniform"], seeds=2, supernets=1, jobs=1, reporter=Silent(), engine=where
        )
        assert len(made) == 4
    for job in made:
        path = job.out.relative_to(tmp_path / "ray")
        assert compared(tmp_path / "ray" / path) == compared(tmp_path / "local" / path)


def test_more_threads_than_any_node_has_is_one_line(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no node of the Ray cluster has 999 processors"):
        cluster.crew(object, threads=999, device="cpu", calls=1, jobs=1)


@pytest.mark.slow
def test_a_run_whose_driver_is_killed_goes_on_to_the_same_end(tmp_path: Path) -> None:
    settings = tiny_settings("search.generations=5")
    start(settings, tmp_path / "local", Silent())
    (tmp_path / "settings.yaml").write_text(to_yaml(settings))
    run, mark = tmp_path / "ray", f"{os.getpid()}-driver"
    environment = {**os.environ, MARK: mark, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    evonas = [sys.executable, "-m", "evonas"]
    arguments = ["run", "--config", str(tmp_path / "settings.yaml"), "--out", str(run), "--engine", "ray", "--quiet"]
    driver = subprocess.Popen([*evonas, *arguments], env=environment)
    while not (run / "history.csv").exists():
        assert driver.poll() is None, "it ends with a defect"
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    assert not (run / "result.json").exists()
    subprocess.run([*evonas, "resume", str(run), "--engine", "ray", "--quiet"], env=environment, check=True)
    assert compared(run) == compared(tmp_path / "local")
    end = time.monotonic() + 120
    while marked(mark) and time.monotonic() < end:
        time.sleep(1)
    assert not marked(mark), "nothing of either cluster is left"
