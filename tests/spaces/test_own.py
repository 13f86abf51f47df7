"""Spaces in the user's own code: they keep the laws or are told which they break, and no stranger's code runs."""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from tests_support import TINY, compared
from torch import nn

import evonas
from evonas import config
from evonas import own_code as own
from evonas.cli import main
from evonas.complexity import Complexity
from evonas.config import OwnSpaceSettings, Settings, build
from evonas.errors import ConfigError, Paused
from evonas.experiment import resume, start
from evonas.export import export
from evonas.laws import LAWS, broken_laws
from evonas.networks import build_subnet, build_supernet
from evonas.progress import Silent
from evonas.slices import Slice
from evonas.spaces import ChainSpace, build_space

CODE = '''
from functools import partial
from torch import nn
from evonas.spaces import ChainSpace

def conv(inputs, outputs, kernel, stride=1):
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())

class TinySpace(ChainSpace):
    """Two choices."""
    def blocks(self, channels, classes):
        yield partial(conv, channels, 4, 3)
        yield {f"conv{k}": partial(conv, 4, 8, k, 2) for k in (3, 5)}
        yield {f"conv{k}": partial(conv, 8, 8, k) for k in (1, 3)} | {"skip": nn.Identity}
        yield lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
'''
SETS = [assignment for assignment in TINY if not assignment.startswith("space.")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_spaces.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where nothing was trusted yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(own, "_trusted", set())
    return tmp_path / "state" / "evonas" / "own-code"


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


def tiny_run(file: Path) -> Settings:
    """Settings of a tiny search in the file's space, as the command line makes them."""
    return build(config.with_assignments({}, [*SETS, f"space.name={own.trust(f'{file}:TinySpace')}"]))


# Laws -----------------------------------------------------------------------------------------------------------


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


def head(inputs: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class Good(ChainSpace):
    """Two choices of two and three modules."""

    def choice(self, channels: int) -> Any:
        return {"conv3": partial(conv, 4, 4), "conv5": partial(conv, 4, 4, 5), "skip": nn.Identity}

    def blocks(self, channels: int, classes: int) -> Any:
        yield partial(conv, channels, 4)
        yield {"relu": nn.ReLU, "tanh": nn.Tanh}
        yield self.choice(channels)
        yield partial(head, 4, classes)


class OtherShapes(Good):
    """Choices that differ in their outputs."""

    def choice(self, channels: int) -> Any:
        return {"conv3": partial(conv, 4, 4), "wide": partial(conv, 4, 5)}


class InPlace(Good):
    """A block that changes its input."""

    def choice(self, channels: int) -> Any:
        return {"conv3": partial(conv, 4, 4), "relu": partial(nn.ReLU, inplace=True)}


class OtherNorm(Good):
    """A norm that no protocol of measuring knows."""

    def choice(self, channels: int) -> Any:
        return {"conv3": partial(conv, 4, 4), "norm": lambda: nn.SyncBatchNorm(4)}


class OneChannel(Good):
    """Choices that depend on the images."""

    def choice(self, channels: int) -> Any:
        return {**super().choice(channels), **({"more": nn.Identity} if channels == 1 else {})}


class Moody(Good):
    """Modules that differ from one making to the next."""

    made = 0

    def choice(self, channels: int) -> Any:
        Moody.made += 1
        return {"conv3": partial(conv, 4, 4), "other": partial(nn.LeakyReLU, Moody.made)}


class Doubtful(Good):
    """A canonical form that has another one."""

    def canonical(self, genotype: Any) -> Any:
        return (1 - genotype[0], *genotype[1:])


class Broken(Good):
    """Code that fails."""

    def choice(self, channels: int) -> Any:
        return {"conv3": partial(conv, 4, 4), "broken": partial(conv, 4, "x")}


class NoLogits(Good):
    """A head of too many classes."""

    def blocks(self, channels: int, classes: int) -> Any:
        yield from super().blocks(channels, classes + 1)


def broken(space: ChainSpace) -> dict[str, str]:
    return {law: reason for law, reason in broken_laws(space, (3, 8, 8), 10) if reason is not None}


def test_a_space_of_a_few_lines_keeps_all_laws() -> None:
    assert broken(Good()) == {}
    assert Good().size == 6 and Good().describe((1, 2)) == ["tanh", "skip"] and Good().name == "Good"


@pytest.mark.parametrize(
    ("kind", "law", "reason"),
    [
        (OtherShapes, "every path runs", r"block 2: .* different shapes, \[\(4, 8, 8\), \(5, 8, 8\)\]"),
        (InPlace, "every path runs", r"block 2: ReLU\(inplace=True\) changes its input in place"),
        (OtherNorm, "batch norms", r"SyncBatchNorm.* use BatchNorm2d"),
        (OneChannel, "genotypes are encoded", "choices depend on channels or classes"),
        (Moody, "the subnet is the supernet's path", "gives other logits than its path"),
        (
            Doubtful,
            "genotypes are encoded",
            r"canonical form \(1, .\) of \(0, .\) .* has another one",
        ),
        (Broken, "every path runs", "Broken: block 2, 'broken', cannot be built: TypeError"),
        (NoLogits, "every path runs", r"gives \(4, 11\) for 4 images; expected \(4, 10\)"),
    ],
)
def test_a_law_that_is_broken_is_named_with_its_reason(kind: type[ChainSpace], law: str, reason: str) -> None:
    found = [text for title, text in broken(kind()).items() if title.startswith(law)]
    assert len(found) == 1 and re.search(reason, found[0]), found


def test_costs_are_those_of_the_built_network() -> None:
    complexity = Complexity(Good(), (3, 8, 8), 10)
    network = build_subnet(Good(), (0, 1), 3, 10)
    assert complexity.of((0, 1)).params == sum(parameter.numel() for parameter in network.parameters())
    assert complexity.of((0, 1)).flops == 64 * (27 * 4 + 100 * 4) + 40
    assert len(list(build_supernet(Good(), 3, 10).path((0, 1)))) == 4


def test_check_space_tells_and_leaves_with_two_where_a_law_is_broken(
    file: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("check-space", f"{file}:TinySpace", "--image-size", 8) == 0
    printed = capsys.readouterr().out
    assert printed.count("ok  ") == len(LAWS) and "2 genes, 6 genotypes" in printed
    file.write_text(CODE.replace('"skip": nn.Identity', '"relu": lambda: nn.ReLU(inplace=True)'))
    assert call("check-space", f"{file}:TinySpace", "--image-size", 8) == 2
    printed = capsys.readouterr()
    assert "BROKEN  every path runs" in printed.out and "breaks 1 of the laws" in printed.err


# Runs -----------------------------------------------------------------------------------------------------------


def test_a_run_in_an_own_space_is_taken_up_loaded_and_the_same(file: Path, home: Path, tmp_path: Path) -> None:
    settings = tiny_run(file)
    start(settings, tmp_path / "whole", Silent())
    part = tmp_path / "part"
    with pytest.raises(Paused):
        start(settings, part, Silent(), share=Slice(0.001))
    while True:
        try:
            resume(part, Silent(), share=Slice(0.001))
            break
        except Paused:
            continue
    assert compared(part) == compared(tmp_path / "whole")
    space = json.loads((part / "best" / "architecture.json").read_text())["space"]
    assert space == {"name": f"{file}:TinySpace", "sha256": own._digest(file.read_bytes())}
    result = json.loads((part / "result.json").read_text())
    network = evonas.load(part)
    assert sum(parameter.numel() for parameter in network.parameters()) == result["best"]["params"]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert result["space"] == "TinySpace"
    exported, _ = export(part, "safetensors")
    assert b"my_spaces.py:TinySpace" in exported.read_bytes() and str(file).encode() not in exported.read_bytes()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run and the file of its space."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_spaces.py").write_text(f"import pathlib\npathlib.Path({str(folder / 'ran')!r}).touch()\n{CODE}")
    start(tiny_run(folder / "my_spaces.py"), folder / "run", Silent())
    return folder


@pytest.fixture
def strangers(found: Path, home: Path, tmp_path: Path) -> Path:
    """The same, as somebody gave it to us: its code is where its settings say, and leaves a mark when it runs."""
    (found / "ran").unlink(missing_ok=True)
    return Path(shutil.copytree(found / "run", tmp_path / "run"))


COMMANDS: list[tuple[str, ...]] = [
    ("retrain", "RUN"),
    ("export", "RUN", "--format", "safetensors"),
    ("predict", "RUN", "image.png"),
    ("run", "--config", "RUN/config.yaml"),
    ("correlate", "RUN", "--table", "nb-macro"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_strangers_run_runs_no_code(
    strangers: Path,
    found: Path,
    arguments: tuple[str, ...],
    recorded: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not recorded:  # without a sum it is not what a run of ours leaves, and no more to be trusted
        digest = own._digest((found / "my_spaces.py").read_bytes())
        for file in (strangers / "config.yaml", strangers / "best" / "architecture.json"):
            file.write_text(file.read_text().replace(f'"{digest}"', "null").replace(digest, "null"))
    monkeypatch.chdir(strangers.parent)
    (strangers.parent / "image.png").write_bytes(b"")
    assert call(*(word.replace("RUN", str(strangers)) for word in arguments)) == 2
    assert not (found / "ran").exists()
    assert capsys.readouterr().err.splitlines()[-1].startswith("evonas: the settings name code, ")


def test_resume_and_load_run_no_strangers_code(
    strangers: Path, found: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (strangers / "result.json").unlink()
    assert call("resume", strangers) == 2
    with pytest.raises(ConfigError, match="that you have not named yourself on this machine"):
        evonas.load(strangers)
    printed = capsys.readouterr().err
    assert f"`evonas check-space {found / 'my_spaces.py'}:TinySpace`" in printed
    assert not (found / "ran").exists()


def test_what_reads_files_alone_never_runs_the_code(strangers: Path, found: Path, tmp_path: Path) -> None:
    own.trust(f"{found / 'my_spaces.py'}:TinySpace")
    assert call("show", strangers) == 0
    assert call("tables", strangers, "--out", tmp_path / "tables") == 0
    assert call("plots", strangers, "--out", tmp_path / "plots") == 0
    assert call("report", strangers, "--out", tmp_path / "report.html") == 0
    assert not (found / "ran").exists()
    evonas.load(strangers)
    assert (found / "ran").exists()


def test_a_file_that_has_changed_or_gone_is_told(strangers: Path, found: Path) -> None:
    file = found / "my_spaces.py"
    code = file.read_text()
    try:
        file.write_text(code + "\n")
        own.trust(f"{file}:TinySpace")  # trusted, but not what the run was made with
        with pytest.raises(ConfigError, match="has changed since the run began; put the file of then back"):
            evonas.load(strangers)
        file.unlink()
        with pytest.raises(ConfigError, match=r"cannot read .*my_spaces.py, code of your own: No such file"):
            evonas.load(strangers)
    finally:
        file.write_text(code)
    assert not (found / "ran").exists()


def test_what_is_trusted_is_remembered_once_and_only_for_its_text_and_place(file: Path, home: Path) -> None:
    for _ in range(2):
        assert own.trust(f"{file}:TinySpace") == f"{file}:TinySpace"
    assert len(home.read_text().splitlines()) == 1
    own._trusted.clear()  # as another process
    build_space(OwnSpaceSettings(name=f"{file}:TinySpace"))
    copied = Path(shutil.copy(file, file.with_name("copy.py")))
    for path, text in ((copied, CODE), (file, CODE + "#")):
        path.write_text(text)
        with pytest.raises(ConfigError, match="not named yourself"):
            build_space(OwnSpaceSettings(name=f"{path}:TinySpace"))


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        ("x = (", "TinySpace", r"my_spaces.py cannot be run: line 1: '\(' was never closed"),
        ("\n1 / 0", "TinySpace", "cannot be run: line 2 of my_spaces.py: ZeroDivisionError"),
        (CODE, "Tiny", "has no 'Tiny'"),
        (CODE, "conv", "is no space; expected a class derived from evonas.spaces.ChainSpace"),
        (CODE.replace("channels, 4, 3)", "channels, nothing, 3)"), "TinySpace", "cannot be made: line .* NameError"),
        (CODE.replace("yield {", "0, {"), "TinySpace", "has no choice; expected a block like"),
    ],
)
def test_a_mistake_in_the_file_is_one_clear_line(file: Path, home: Path, code: str, name: str, message: str) -> None:
    file.write_text(code)
    with pytest.raises(ConfigError, match=message) as caught:
        build_space(OwnSpaceSettings(name=own.trust(f"{file}:{name}")))
    assert "\n" not in str(caught.value)


READS = """

class Reads(nn.Module):
    def forward(self, images):
        return images if float(images.mean()) < 9 else -images
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (CODE.replace("conv, 4, 8, k, 2", "conv, 5, 8, k, 2"), r"RuntimeError: .* 5 channels, but got 4 channels"),
        (CODE.replace('"skip": nn.Identity', '"relu": partial(nn.ReLU, inplace=True)'), "block 2: .* input in place"),
        (CODE.replace("nn.BatchNorm2d(outputs)", "nn.SyncBatchNorm(outputs)"), "statistics"),
        (
            CODE.replace("nn.BatchNorm2d(outputs)", "Reads()") + READS,
            "RuntimeError: .* cannot be called on meta tensors",
        ),
    ],
)
def test_modules_that_do_not_fit_are_one_line_before_a_run_begins(
    file: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, reason: str
) -> None:
    assert code != CODE
    file.write_text(code)
    run = tmp_path / "run"
    assert call("run", "ga", "--space", f"{file}:TinySpace", "--quiet", "--out", run) == 2
    message = capsys.readouterr().err.strip().splitlines()
    assert len(message) == 1 and re.search(f"TinySpace cannot be searched: .*{reason}.*check-space", message[0])
    assert not run.exists()


def test_a_setting_of_another_space_is_told_to_have_no_place(
    file: Path, home: Path, tmp_path: Path, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "ga", "--space", f"{file}:TinySpace", "--set", "space.width=8", "--out", str(tmp_path / "run")])
    assert caught.value.code == 2
    assert "'space.width'; a space of your own has its numbers in its file" in capsys.readouterr().err


def test_installed_packages_offer_spaces_by_name(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    points = [
        EntryPoint("tiny", "my_spaces:TinySpace", "evonas.spaces"),
        EntryPoint("bad", "nothing:X", "evonas.spaces"),
    ]
    monkeypatch.setattr(config, "entry_points", lambda group: points if group == "evonas.spaces" else [])
    assert build_space(build({"space": {"name": "tiny"}}).space).size == 6
    with pytest.raises(
        ConfigError, match=r"bad, of an installed package, cannot be loaded: .*No module named 'nothing'"
    ):
        build_space(build({"space": {"name": "bad"}}).space)
    with pytest.raises(ConfigError, match="'tin' is no search space"):
        build({"space": {"name": "tin"}})
