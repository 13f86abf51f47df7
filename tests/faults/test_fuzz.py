"""The readers of configurations, genotypes, histories, results, peers and checkpoints under input that nobody meant.

Each gives what it promises, or raises an error of ours that is one line. A few examples of each run in the fast suite;
the slow one goes on for minutes.
"""

from __future__ import annotations

import io
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from rich.console import Console

from analysis.audit import read_audit
from analysis.peers import FOLDER, load_peers
from analysis.runs import read_run
from evonas.checkpoint import DamagedError, NewerError, opened, sealed
from evonas.chosen import genotypes
from evonas.config import Settings, build, parse_yaml, read_yaml, shipped, to_yaml, with_assignments
from evonas.device_times import read_times
from evonas.errors import ConfigError, EvonasError
from evonas.history import read_generations
from evonas.plan import check
from evonas.run import RunFolder
from evonas.search.initial import read_initial
from evonas.show import show
from evonas.spaces import build_space
from evonas.stored import read_table, trusted
from evonas.table import TableSettings, read

FIXTURES = Path(__file__).parent / "fixtures"
SECONDS = 30.0  # of each reader in the slow suite
BASE = read_yaml(shipped("digits") or Path())
SPACE = build_space(build({}).space)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from([2**63, 10**30, -1, 0.5])
)
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(
    [(section, key) for section, part in BASE.items() for key in (part if isinstance(part, dict) else [None])]
)


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """The settings of digits with a few of them replaced by anything."""
    data = {section: dict(part) if isinstance(part, dict) else part for section, part in BASE.items()}
    for section, key in draw(st.lists(keys, min_size=1, max_size=4)):
        value = draw(plain)
        if key is None or not isinstance(data[section], dict):
            data[section] = value
        else:
            data[section][key] = value
    return data


def mutated(text: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of which some stretches are replaced, doubled or lost."""
    junk = st.binary(max_size=6) | st.sampled_from(
        [b'"', b",", b"\n", b"\r", b"\0", b"nan", b"-1", b"[[", b"1e999", b"\xff"]
    )
    change = st.tuples(st.integers(0, max(len(text), 1)), st.integers(0, 20), junk)

    def made(changes: list[tuple[int, int, bytes]]) -> bytes:
        data = text
        for place, lost, put in changes:
            data = data[:place] + put + data[place + lost :]
        return data

    return st.lists(change, max_size=6).map(made)


@contextmanager
def file(name: str, data: bytes) -> Iterator[Path]:
    """A file of these bytes in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


@contextmanager
def refused() -> Iterator[None]:
    """Errors of ours are an answer, where they are one short line."""
    try:
        yield
    except EvonasError as error:
        assert 0 < len(str(error)) < 20_000


def settings_are_whole_or_refused(data: Any) -> None:
    with refused():
        made = check(data)
        assert build(parse_yaml(to_yaml(made), "text")) == made, "they survive their own file"
        build_space(made.space)


def yaml_is_plain_data_or_refused(data: bytes) -> None:
    with file("a.yaml", data) as path, refused():
        build(read_yaml(path))


def assignments_are_settings_or_refused(words: list[str]) -> None:
    with refused():
        assert isinstance(build(with_assignments(BASE, words)), Settings)


def genotypes_are_valid_or_refused(wanted: Any) -> None:
    with refused():
        made = check({"retrain": {"genotypes": wanted}})
        assert all(SPACE.is_valid(genotype) for genotype in genotypes(SPACE, made.retrain.genotypes or ()))


def first_populations_are_valid_or_refused(data: bytes) -> None:
    with file("a.csv", data) as path, refused():
        assert all(SPACE.is_valid(genotype) for genotype in read_initial(path, SPACE))


def tables_are_whole_or_refused(data: bytes) -> None:
    chosen = TableSettings(file="a.csv", genotype="arch", fitness="acc")  # type: ignore[call-arg]
    space = build_space(build({"space": {"name": "nb-macro"}}).space)
    with file("a.csv", data) as path, refused():
        read(chosen.model_copy(update={"file": str(path)}), space).accuracies("acc")


def histories_are_measurements_or_refused(data: bytes) -> None:
    with file("history.csv", data) as path, refused():
        rows = read_table(path)
        with trusted(path):
            read_generations(rows, ["loss"], {}, "protocol", 3)


def histories_are_read_as_far_as_they_go(data: bytes) -> None:
    for name in ("history.csv", "generations.csv", "pareto.csv"):
        with file(name, data) as path:
            run = read_run(path.parent)
            assert run.history["generation"].dtype.kind in "iuO"


def audits_are_whole_or_refused(data: bytes) -> None:
    with file("audit.csv", data) as path, refused():
        read_audit(path)


def times_are_positive_or_refused(data: bytes) -> None:
    with file("t.csv", data) as path, refused():
        found = read_times(path, 1)
        assert found.batch == 1 and all(0 < value < math.inf for value in found.milliseconds.values())


def peers_are_whole_or_refused(data: bytes) -> None:
    with file("peers.csv", data) as path, refused():
        assert len(load_peers(path)) > 30


def results_are_shown_or_refused(data: bytes) -> None:
    with file("result.json", data) as path:
        (path.parent / "checkpoints").mkdir()
        (path.parent / "config.yaml").write_text("{}")
        with refused():
            show(path.parent, Console(file=io.StringIO()))
        run = read_run(path.parent)
        assert isinstance(run.figure("best", "test_error"), float) and isinstance(run.reductions, tuple)


def checkpoints_are_whole_or_damaged(data: bytes) -> None:
    try:
        about, state = opened(data)
    except (DamagedError, NewerError):
        return
    assert (about, state["a"].tolist()) == ({"lengths": {}}, [0.0, 1.0, 2.0])


class Target(NamedTuple):
    """What a reader is given, and what it has to keep."""

    inputs: st.SearchStrategy[Any]
    keeps: Callable[[Any], None]


HISTORY = (FIXTURES / "format-1-unfinished" / "history.csv").read_bytes()
RESULT = (FIXTURES / "format-2" / "result.json").read_bytes()
TABLE = b"arch,acc\n" + b"".join(f"{i:08d},{i}.5\n".encode() for i in (0, 1, 2, 10, 11, 12))
AUDIT = b'state,genotype,canonical,error,loss,params,flops,probe\n0,"[0, 1]","[0, 1]",1.5,0.1,10,20,uniform\n'
TIMES = b"what,milliseconds,batch,device\nconv on 1x8x8,0.25,1,board\npool on 1x8x8,0.5,1,board\n"
PEERS = b"".join((FOLDER / "peers.csv").read_bytes().splitlines(keepends=True)[:4])
INITIAL = b'genotype,x\n"[0, 1, 2, 3, 4, 5, 6, 0]",1\n'
words = st.lists(
    st.tuples(keys, plain).map(lambda pair: f"{pair[0][0]}.{pair[0][1]}={pair[1]}") | st.text(), max_size=3
)
results = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@st.composite
def broken_results(draw: st.DrawFn) -> bytes:
    """A result in which some values are anything."""
    data = json.loads(RESULT)
    for _ in range(draw(st.integers(1, 3))):
        place = data
        key = draw(st.sampled_from(sorted(place)))
        while isinstance(place[key], dict) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from(sorted(place)))
        place[key] = draw(results)
    return json.dumps(data).encode()


TARGETS = {
    "settings": Target(settings() | plain.filter(lambda data: isinstance(data, dict)), settings_are_whole_or_refused),
    "yaml": Target(mutated((shipped("digits") or Path()).read_bytes()) | st.binary(), yaml_is_plain_data_or_refused),
    "assignments": Target(words, assignments_are_settings_or_refused),
    "genotypes": Target(st.lists(plain, max_size=3) | plain, genotypes_are_valid_or_refused),
    "first population": Target(mutated(INITIAL), first_populations_are_valid_or_refused),
    "table": Target(mutated(TABLE), tables_are_whole_or_refused),
    "history": Target(mutated(HISTORY), histories_are_measurements_or_refused),
    "history for plots": Target(mutated(HISTORY), histories_are_read_as_far_as_they_go),
    "audit": Target(mutated(AUDIT), audits_are_whole_or_refused),
    "times": Target(mutated(TIMES), times_are_positive_or_refused),
    "peers": Target(mutated(PEERS), peers_are_whole_or_refused),
    "result": Target(mutated(RESULT) | broken_results(), results_are_shown_or_refused),
    "checkpoint": Target(
        mutated(sealed({"lengths": {}}, {"a": torch.arange(3.0)})) | st.binary(), checkpoints_are_whole_or_damaged
    ),
}


def attack(target: Target, examples: int, seed: int | None) -> None:
    def one(given: Any) -> None:
        target.keeps(given)

    made = hypothesis.given(target.inputs)(one)
    if seed is not None:
        made = hypothesis.seed(seed)(made)
    hypothesis.settings(
        max_examples=examples, deadline=None, database=None, derandomize=seed is None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )(made)()  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_gives_what_it_promises_or_refuses(name: str) -> None:
    attack(TARGETS[name], examples=40, seed=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_gives_what_it_promises_or_refuses_for_minutes(name: str) -> None:
    end, rounds = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        attack(TARGETS[name], examples=200, seed=rounds)
        rounds += 1
    print(f"{name}: {200 * rounds} examples")  # noqa: T201


def test_a_format_that_a_checkpoint_does_not_have_is_damage_and_no_crash(tmp_path: Path) -> None:
    for found in ("2", None, [], 1.5, -3):
        buffer = io.BytesIO()
        torch.save({"format": found, "lengths": {}, "state": {}}, buffer)
        with pytest.raises(DamagedError):
            opened(buffer.getvalue())


def test_a_run_folder_by_a_stranger_is_no_way_to_other_errors(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text("space: {name: [1]}\n")
    with RunFolder.open(tmp_path) as folder, pytest.raises(ConfigError):
        folder.settings()
