"""Settings: complete, strict, and clear about what is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas.config import Settings, build, parse_yaml, read_yaml, shipped, to_yaml, with_assignments
from evonas.errors import ConfigError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


def from_sets(*assignments: str) -> Settings:
    return build(with_assignments({}, assignments))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_file_is_complete_and_every_key_is_commented(path: Path) -> None:
    data = read_yaml(path)
    settings = build(data)
    assert _keys(data) == _keys(settings.model_dump(mode="json"))
    for line in path.read_text().splitlines():
        assert not line or line.startswith("#") or "  # " in line, f"no comment: {line}"


def _keys(data: dict[str, object], prefix: str = "") -> set[str]:
    return {prefix + key for key in data} | {
        name for key, value in data.items() if isinstance(value, dict) for name in _keys(value, f"{prefix}{key}.")
    }


def test_the_shipped_files_are_there() -> None:
    names = {path.stem for path in CONFIGS}
    assert {"digits", "cifar10", "cifar100", "cifar10-small", "cifar100-small"} <= names
    assert shipped("digits") is not None
    assert shipped("nothing") is None


@given(
    st.fixed_dictionaries(
        {
            "seed": st.integers(0, 2**31),
            "supernet": st.fixed_dictionaries({"lr": st.floats(1e-9, 1e9), "epochs": st.integers(0, 10**6)}),
            "space": st.one_of(
                st.fixed_dictionaries({"width": st.integers(1, 512), "layers": st.just([1, 2, 3])}),
                st.fixed_dictionaries({"name": st.just("nb-macro"), "head": st.integers(0, 512)}),
                st.fixed_dictionaries({"name": st.just("nb201"), "cells": st.integers(1, 9)}),
            ),
        }
    )
)
def test_settings_survive_yaml(data: dict[str, object]) -> None:
    settings = build(data)
    assert build(parse_yaml(to_yaml(settings), "text")) == settings


@pytest.mark.parametrize("text", ["1e3", "1.0e3", "1E3", "1000", "1000.0"])
def test_numbers_in_any_notation_are_numbers(text: str) -> None:
    settings = from_sets(f"supernet.lr={text}", f"search.population={text}")
    assert settings.supernet.lr == 1000.0
    assert settings.search.population == 1000
    assert type(settings.search.population) is int


def test_a_small_rate_in_exponent_notation_is_a_number() -> None:
    assert from_sets("supernet.weight_decay=3e-4").supernet.weight_decay == 3e-4


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["serch.population=3"], "unknown setting 'serch'; did you mean 'search'?"),
        (["search.popultion=3"], "unknown setting 'search.popultion'; did you mean 'search.population'?"),
        (["finetune.weights.gnee=1"], "unknown setting 'finetune.weights.gnee'; did you mean 'finetune.weights.gene'?"),
        (["space.widht=8"], "unknown setting 'space.widht'; did you mean 'space.width'?"),
        (["space.name=single-pth"], "'single-pth' is no search space; did you mean 'single-path'?"),
        (["problem.objectives=[eror]"], "problem.objectives: 'eror' is unknown; did you mean 'error'?"),
        (["search.population=ten"], "search.population is 'ten'; expected a whole number"),
        (["search.population=2.5"], "search.population is 2.5; expected a whole number"),
        (["search.population=1"], "search.population is 1; expected greater than or equal to 2"),
        (["seed=true"], "seed is True; expected a whole number"),
        (["seed=-1"], "seed is -1"),
        (["supernet.lr=0"], "supernet.lr is 0; expected greater than 0"),
        (["supernet.lr=.inf"], "supernet.lr is inf; expected a finite number"),
        (["supernet.lr=.nan"], "supernet.lr is nan"),
        (["dataset.fitness_share=1.0"], "dataset.fitness_share is 1.0; expected less than 1"),
        (["finetune.enabled=1"], "finetune.enabled is 1; expected true or false"),
        (["finetune=3"], "finetune is 3"),
        (["search.elites=40", "search.population=40"], "leave no room for children in a population of 40"),
        (["space.operations=[conv3,conv4]"], "operation 'conv4' is unknown"),
        (["space.operations=[conv3]"], "space.operations is"),
        (["space.layers=[1,2]"], "layers has 2 stages and strides 3"),
        (["finetune.weights.population=0", "finetune.weights.gene=0", "finetune.weights.neighbour=0",
          "finetune.weights.uniform=0"], "all four weights are 0"),
        (["device=gpu"], "device is 'gpu'; expected 'auto', 'cpu' or 'cuda'"),
        (["search.population"], "is no assignment; expected key=value"),
        (["=3"], "is no assignment"),
        (["seed=[1"], "--set seed line 1 is not valid YAML"),
    ],
)  # fmt: skip
def test_a_mistake_names_what_came_and_what_was_expected(assignments: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_sets(*assignments)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        from_sets("seed=x", "search.popultion=3", "supernet.lr=-1")
    for part in ("seed is 'x'", "'search.popultion'", "supernet.lr is -1"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: [1", "is not valid YAML"),
        (b"- 1\n- 2\n", "holds a list"),
        (b"\xff\xfe\xfa", "not UTF-8"),
        (b"x: !!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=expected):
        read_yaml(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the settings file .*none\.yaml: No such file"):
        read_yaml(tmp_path / "none.yaml")


def test_assignments_leave_the_base_alone() -> None:
    base = {"search": {"population": 10}}
    assert with_assignments(base, ["search.population=20"]) == {"search": {"population": 20}}
    assert base == {"search": {"population": 10}}
