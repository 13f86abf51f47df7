"""The additive model of the final choice."""

import numpy as np
import pytest

from evonas.config import build
from evonas.errors import ConfigError, StaleFitnessError
from evonas.search.additive import by_model, predicted
from evonas.search.fitness import Measurement
from evonas.spaces import Genotype, build_space

SPACE = build_space(build({"space": {"name": "nb-macro"}}).space)
WORTH = np.random.default_rng(0).normal(size=(8, 3))


def true(genotype: Genotype) -> float:
    return 10.0 + sum(WORTH[i, gene] for i, gene in enumerate(genotype))


def measured(genotype: Genotype, value: float, state: int = 0, protocol: str = "p") -> Measurement:
    return Measurement(genotype, (value,), state, protocol)


def drawn(n: int, seed: int = 1) -> list[Genotype]:
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(SPACE.sample(rng) for _ in range(n)))


def test_what_is_additive_is_predicted_for_networks_never_measured() -> None:
    known = [measured(g, true(g)) for g in drawn(400)]
    others = drawn(50, seed=2)
    assert predicted(SPACE, known, others) == pytest.approx([true(g) for g in others], abs=0.05)


def test_the_error_of_one_network_does_not_decide() -> None:
    """The best candidate is measured badly and a bad one well, as a supernet does."""
    known = {g: measured(g, true(g)) for g in drawn(120)}
    order = sorted(known, key=true)
    best, poor = order[0], order[60]
    known[best], known[poor] = measured(best, true(best) + 4.0), measured(poor, true(best) - 4.0)
    final = [known[g] for g in [poor, best, *order[61:70]]]
    assert min(final, key=lambda m: m.rank_key).genotype == poor
    chosen = by_model(SPACE, final, list(known.values()))
    assert chosen[0].genotype == best
    assert sorted(m.genotype for m in chosen) == sorted(m.genotype for m in final)


def test_figures_that_are_not_finite_teach_nothing() -> None:
    known = [measured(g, true(g)) for g in drawn(60)]
    broken = [measured(g, float("nan")) for g in drawn(3, seed=5)]
    assert predicted(SPACE, [*known, *broken], drawn(5)).tolist() == predicted(SPACE, known, drawn(5)).tolist()
    assert predicted(SPACE, broken, drawn(5)).tolist() == [0.0] * len(drawn(5))


@pytest.mark.parametrize("other", [{"state": 1}, {"protocol": "q"}])
def test_measurements_of_another_state_or_protocol_teach_nothing(other: dict[str, int | str]) -> None:
    known = [measured(g, true(g)) for g in drawn(10)]
    with pytest.raises(StaleFitnessError):
        by_model(SPACE, known[:3], [*known, measured(drawn(1, seed=9)[0], 1.0, **other)])  # type: ignore[arg-type]


def test_a_model_needs_one_state() -> None:
    with pytest.raises(ConfigError, match="choice model needs remeasure true"):
        build({"final": {"choice": "model", "remeasure": False}})
