import time

import pytest

from evonas.stopwatch import Stopwatch, Timed


def test_an_inner_phase_is_not_counted_in_the_outer_one() -> None:
    watch = Stopwatch()
    with watch("measure"):
        time.sleep(0.02)
        with watch("io"):
            time.sleep(0.03)
    seconds = watch.seconds()
    assert 0.02 <= seconds["measure"] < 0.03
    assert seconds["io"] >= 0.03
    assert seconds["total"] >= seconds["measure"] + seconds["io"]


def test_time_is_summed_over_resumes() -> None:
    watch = Stopwatch()
    watch.restore({**Stopwatch().seconds(), "warmup": 5.0, "total": 7.0})
    assert watch.seconds()["warmup"] == 5.0
    assert watch.seconds()["total"] == pytest.approx(7.0, abs=0.1)


def test_the_setup_claims_what_no_phase_has() -> None:
    watch = Stopwatch(time.perf_counter() - 3.0)
    watch.begin("setup")
    assert watch.seconds()["setup"] == pytest.approx(3.0, abs=0.1)


def test_named_methods_are_counted_and_the_rest_is_passed_through() -> None:
    class Worker:
        size = 3

        def work(self, n: int) -> int:
            time.sleep(0.01)
            return n + self.size

    watch = Stopwatch()
    timed = Timed(Worker(), watch, work="retrain")
    assert timed.work(4) == 7
    assert timed.size == 3
    assert watch.seconds()["retrain"] >= 0.01
    assert not hasattr(timed, "adapt")
