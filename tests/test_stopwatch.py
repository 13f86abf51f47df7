import pytest

from evonas.stopwatch import Stopwatch, Timed


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Stopwatch:
    return Stopwatch(started=97.0, clock=clock)


def test_an_inner_phase_is_not_counted_in_the_outer_one(clock: Clock, watch: Stopwatch) -> None:
    with watch("measure"):
        clock.now += 2
        with watch("io"):
            clock.now += 5
        clock.now += 1
    assert watch.seconds()["measure"] == 3
    assert watch.seconds()["io"] == 5


def test_what_no_block_claims_is_setup_first_and_the_algorithm_from_then_on(clock: Clock, watch: Stopwatch) -> None:
    clock.now += 1
    watch.ready()
    clock.now += 10
    with watch("retrain"):
        clock.now += 20
    clock.now += 1
    seconds = watch.seconds()
    assert (seconds["setup"], seconds["algorithm"], seconds["retrain"]) == (4, 11, 20)
    assert seconds["total"] == 35


def test_a_block_left_by_an_exception_is_counted_too(clock: Clock, watch: Stopwatch) -> None:
    with pytest.raises(ValueError, match="loss"), watch("warmup"):
        clock.now += 4
        raise ValueError("loss")
    clock.now += 1
    assert watch.seconds()["warmup"] == 4


def test_time_is_summed_over_resumes(clock: Clock, watch: Stopwatch) -> None:
    watch.restore({**dict.fromkeys(watch.seconds(), 0.0), "warmup": 5.0, "total": 5.0})
    assert watch.seconds()["warmup"] == 5
    assert watch.seconds()["total"] == 8


def test_named_methods_are_counted_and_the_rest_is_passed_through(clock: Clock, watch: Stopwatch) -> None:
    class Worker:
        size = 3

        def work(self, n: int) -> int:
            clock.now += 7
            return n + self.size

    timed = Timed(Worker(), watch, work="retrain")
    assert timed.work(4) == 7
    assert timed.size == 3
    assert watch.seconds()["retrain"] == 7
    assert not hasattr(timed, "adapt")


def test_seconds_count_once_for_each_device(clock: Clock, watch: Stopwatch) -> None:
    watch.restore({"measure": 5.0}, {"measure": 20.0})
    watch.devices["measure"] = 3
    for phase in ("measure", "finetune"):
        with watch(phase):
            clock.now += 2
    assert (watch.seconds()["measure"], watch.seconds()["finetune"]) == (7, 2)
    assert (watch.device_seconds()["measure"], watch.device_seconds()["finetune"]) == (26, 2)
    watch.restore({"measure": 1.0})
    assert watch.device_seconds()["measure"] == 27, "as older checkpoints have it"
