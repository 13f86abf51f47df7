"""The public names, their signatures and their docstrings."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from public_api import api, code, members, named

import evonas
import problems
from analysis import ablation, ranking
from evonas import errors
from evonas.laws import broken_laws
from evonas.plan import ALGORITHMS
from evonas.search.base import Algorithm
from evonas.search.fitness import knee
from evonas.search.nsga2 import ParetoSearch, StagedSurvival
from evonas.spaces import SPACES, ChainSpace, Space
from evonas.supernet.sampling import WARM_UP_SAMPLERS, region_paths
from evonas.supernet.training import SupernetTrainer
from problems.fronts import hypervolume, inverted_distance, non_dominated

LIST = Path(__file__).parent / "public_api.txt"
MEMBERS = {name: member for top in named() for name, member in members(top)}
# A figure by its name in results and tables, and how its unit is told.
UNITS = {
    **{"flops": "multiply-adds", "loss": "nats", "latency_ms": "milliseconds", "error_pct": "percent"},
    **{"params_m": "millions", "seconds": "seconds", "error_std": "percent"},
}
ERRORS = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}


def _own_text(name: str) -> str:
    """The docstring of a name, and where it is a class, that of its making."""
    member = MEMBERS[name]
    made = vars(member).get("__init__") if inspect.isclass(member) else None
    return f"{member.__doc__}\n{getattr(made, '__doc__', None) or ''}"


def _text(name: str) -> str:
    """What is told of a name: its own docstring, and that of the class it belongs to."""
    above = name.rpartition(".")[0]
    return _own_text(name) + (_own_text(above) if above in MEMBERS else "")


def _function(member: Any) -> Any:
    """The function of a name: itself, or where it is a class, its making."""
    return vars(member).get("__init__") if inspect.isclass(member) else code(member)


def _functions(member: Any) -> dict[str, Any]:
    """The function of a name, without one, and the private ones of its module and class, by theirs."""
    function = _function(member)
    if not inspect.isfunction(function) or function.__code__.co_filename.startswith("<"):  # made by @dataclass
        return {}
    owner = function.__globals__.get(function.__qualname__.partition(".")[0])
    beside = {**function.__globals__, **(vars(owner) if inspect.isclass(owner) else {})}
    private = {key: value for key, value in beside.items() if key.startswith("_") and inspect.isfunction(value)}
    return {"": function} | {key: value for key, value in private.items() if value.__module__ == function.__module__}


def _raised(member: Any) -> set[str]:
    """The errors of ours that the body of a function raises itself, or a private function that it calls."""
    functions = _functions(member)
    found: set[str] = set()
    waiting, seen = [""] if functions else [], {""}
    while waiting:
        nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(functions[waiting.pop()])))))
        raised = [node.exc.func for node in nodes if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
        found |= {function.id for function in raised if isinstance(function, ast.Name)} & ERRORS
        called = {
            getattr(node.func, "attr", getattr(node.func, "id", "")) for node in nodes if isinstance(node, ast.Call)
        }
        new = (called & functions.keys()) - seen
        waiting, seen = [*waiting, *new], seen | new
    return found


def _arrays(member: Any) -> list[str]:
    """The parameters of a function that are arrays or shapes of images, and `return` where that is one."""
    annotations = getattr(_function(member), "__annotations__", {})
    return [key for key, kind in annotations.items() if re.search("ndarray|Tensor", str(kind)) or key.endswith("shape")]


def test_every_public_name_has_the_signature_that_it_is_known_by() -> None:
    # A change that is meant: support/public_api.py says how the list is made anew, and the changelog tells it.
    assert api() == LIST.read_text().splitlines()


def test_what_the_packages_offer_is_on_the_pages_of_the_reference() -> None:
    offered = {f"{package.__name__}.{name}" for package in (evonas, problems) for name in package.__all__}
    assert offered - {"evonas.__version__"} <= set(named())
    assert len(named()) == len(set(named()))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_public_name_is_described(name: str) -> None:
    text = MEMBERS[name].__doc__
    assert text and text.strip(), name
    assert not text.startswith(name.rpartition(".")[2] + "("), "made by @dataclass or NamedTuple"


RAISING = {name: raised for name, member in MEMBERS.items() if (raised := _raised(member))}
ARRAYS = {name: arrays for name, member in MEMBERS.items() if (arrays := _arrays(member))}
FIGURES = [(name, word) for name in MEMBERS for word in UNITS if re.search(rf"\b{word}\b", _own_text(name))]
SOURCED = [
    *[kind for kind in (*ALGORITHMS.values(), *SPACES.values()) if not inspect.isabstract(kind)],
    *[Algorithm, ParetoSearch, ChainSpace, SupernetTrainer, StagedSurvival, *WARM_UP_SAMPLERS.values(), region_paths],
    *[hypervolume, inverted_distance, non_dominated, knee, broken_laws, ablation.compare, ranking.Ranking],
    *[Space.crossover, Space.frequencies, Space.fair],
]


@pytest.mark.parametrize("name", RAISING)
def test_a_public_name_tells_the_errors_that_it_raises(name: str) -> None:
    assert RAISING[name] <= set(re.findall(r"\w+", _text(name))), f"{name} raises {RAISING[name]}"


@pytest.mark.parametrize("name", ARRAYS)
def test_a_public_name_tells_the_shapes_of_its_arrays(name: str) -> None:
    # As (n, k) or (n,): names or numbers of which at least one comma tells that they are sides.
    assert re.search(r"\((\w+, ?)+(\w+)?\)", _text(name)), f"{name} has {ARRAYS[name]}"


@pytest.mark.parametrize(("name", "word"), FIGURES)
def test_a_public_name_tells_the_units_of_its_figures(name: str, word: str) -> None:
    assert UNITS[word] in _text(name)


@pytest.mark.parametrize("idea", SOURCED, ids=lambda idea: idea.__qualname__)
def test_an_idea_has_its_source_in_its_docstring(idea: Any) -> None:
    # A paper's number or year, or the word that it is ours.
    assert re.search(r"\d{4}\.\d{5}|\b(19|20)\d\d\b|\bours?\b", idea.__doc__), idea


def test_the_rules_hold_for_some_names_and_notice_what_is_missing() -> None:
    assert {"evonas.load", "evonas.predict.predict", "analysis.ablation.units"} <= RAISING.keys()
    assert RAISING["evonas.load"] == {"ConfigError", "RunError"}, "what its private functions raise is found too"
    assert {"problems.fronts.hypervolume", "evonas.spaces.Space.cost"} <= ARRAYS.keys()
    assert ("problems.SupernetProblem", "latency_ms") in FIGURES
