"""Files of strangers: nothing in them runs, leads out of the run folder, fills the memory or steers a terminal."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from faulty_runs import contents, few
from rich.console import Console
from tests_support import rows

from evonas.checkpoint import DamagedError, opened, read_archive, sealed
from evonas.config import parse_yaml, read_yaml
from evonas.errors import ConfigError, EvonasError, RunError, printable
from evonas.experiment import resume
from evonas.packing import pack
from evonas.progress import Silent
from evonas.show import show
from evonas.warmed import load_warmed_up

ROOT = Path(__file__).parent.parent.parent


# Nothing is run ----------------------------------------------------------------------------------------------------


class Evil:
    """A class whose pickle makes a folder when it is read."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.sign),)


def archive(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_a_pickle_in_the_place_of_any_file_does_not_run(run: Path, tmp_path: Path) -> None:
    evil = Evil(tmp_path / "hacked")
    whole = {"format": 2, "about": "{}", "state": pack({}), "more": evil}
    malicious = [pickle.dumps(evil), archive(evil), archive(whole)]
    files = [path for path in run.rglob("*") if path.is_file() and path.name != ".lock"]
    for number, (path, data) in enumerate((path, data) for path in files for data in malicious):
        copy = Path(shutil.copytree(run, tmp_path / str(number)))
        for name in (
            (path.relative_to(run),) if path.suffix != ".pt" else ("checkpoints/000001.pt", "checkpoints/000002.pt")
        ):
            (copy / name).write_bytes(data)
        try:
            show(copy, Console(file=io.StringIO()))
            resume(copy, Silent())
        except EvonasError:
            pass
        assert not evil.sign.exists(), path
    with pytest.raises(DamagedError, match="more than plain data"):
        opened(archive(whole))


def test_yaml_runs_nothing(tmp_path: Path) -> None:
    for text in (
        f"!!python/object/apply:os.mkdir [{tmp_path / 'hacked'}]",
        "!!python/name:os.system",
        "!!python/module:os",
    ):
        with pytest.raises(ConfigError, match="not valid YAML"):
            parse_yaml(text, "it")
    assert not (tmp_path / "hacked").exists()


# Nothing leads out of the run folder --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["history.csv", "checkpoints/000002.pt", "checkpoints", ".lock", "result.json", "best", "supernet", "x.tmp"]
)
def test_a_link_out_of_the_run_folder_is_refused_and_its_target_kept(run: Path, tmp_path: Path, name: str) -> None:
    outside, place = tmp_path / "outside", run / name
    if place.is_dir():
        shutil.move(place, outside)
    else:
        outside.write_text("mine")
        place.unlink(missing_ok=True)
    place.symlink_to(outside)
    before = contents(outside) if outside.is_dir() else outside.read_text()
    for attack in (lambda: resume(run, Silent()), lambda: show(run, Console(file=io.StringIO()))):
        with pytest.raises(RunError, match="is a link that leads out of the run folder"):
            attack()
    assert (contents(outside) if outside.is_dir() else outside.read_text()) == before


def test_a_pipe_in_a_run_folder_is_refused_and_not_waited_for(run: Path) -> None:
    (run / "history.csv").unlink()
    os.mkfifo(run / "history.csv")
    with pytest.raises(RunError, match="neither a file nor a folder"):
        resume(run, Silent())


def test_a_run_folder_may_itself_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    assert resume(tmp_path / "link", Silent())["complete"]


@pytest.mark.parametrize(
    "name", ["state-..safetensors", "state-x.safetensors", "state-²3.safetensors", "state-.safetensors"]
)
def test_names_that_are_none_of_ours_are_passed_over(run: Path, name: str) -> None:
    (run / "supernet" / name).write_bytes(b"")
    (run / "checkpoints" / "²²²²²².pt").write_bytes(b"")
    (run / "checkpoints" / "7.pt").write_bytes(b"")
    assert resume(run, Silent())["complete"]


# Memory is bounded -------------------------------------------------------------------------------------------------


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    return "\n".join(lines)


HOSTILE_YAML = {
    "a billion laughs": (bomb, "aliases are not taken"),
    "nested lists": (lambda: "[" * 100_000, "nested too deeply"),
    "nested mappings": (lambda: "{a: " * 50_000, "nested too deeply"),
    "nested lines": (lambda: "".join(f"{' ' * i}a:\n" for i in range(500)), "nested too deeply"),
    "a huge file": (lambda: "a: 1\n" * 100_000, "larger than 256 KiB"),
    "a huge number": (lambda: f"seed: {'9' * 10_000}", "is not valid YAML"),
    "zeros": (lambda: "\0" * 1000, "is not valid YAML"),
}


@pytest.mark.parametrize("kind", HOSTILE_YAML)
def test_yaml_that_grows_or_nests_without_end_is_one_line(tmp_path: Path, kind: str) -> None:
    make, words = HOSTILE_YAML[kind]
    (tmp_path / "a.yaml").write_text(make())
    with pytest.raises(ConfigError, match=words) as caught:
        read_yaml(tmp_path / "a.yaml")
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


# In a process of its own, whose memory has a limit: it imports what it needs, notes the memory in use, and then reads.
READING = """
import resource, sys
from pathlib import Path
from evonas.errors import EvonasError
{imports}
file = Path(sys.argv[1])
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + {room} * 1024**2
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    {read}
except EvonasError as error:
    print(error)
"""
SPACE = "from evonas.config import TableSettings, build\nfrom evonas.spaces import build_space"
READERS = {
    "table": (
        f"from evonas.table import read\n{SPACE}",
        "read(TableSettings(file=str(file), genotype='arch'), build_space(build({}).space))",
    ),
    "peers": ("from analysis.peers import load_peers", "load_peers(file)"),
    "history": ("from evonas.stored import read_table", "read_table(file)"),
    "init": (
        f"from evonas.search.initial import read_initial\n{SPACE}",
        "read_initial(file, build_space(build({}).space))",
    ),
    "settings": ("from evonas.config import read_yaml", "read_yaml(file)"),
    "times": ("from evonas.device_times import read_times", "read_times(file, 1)"),
    "result": ("from evonas.stored import read_result", "read_result(file.parent)"),
    "run": ("from analysis.runs import read_run", "print(*read_run(file.parent).problems)"),
}


@pytest.mark.parametrize("reader", few(READERS, fast=["table", "history", "settings"]))
def test_a_line_of_a_gigabyte_is_one_line_of_ours_in_bounded_memory(tmp_path: Path, reader: str) -> None:
    name = {"result": "result.json", "run": "history.csv", "settings": "a.yaml"}.get(reader, "a.csv")
    with (tmp_path / name).open("wb") as file:
        file.write(b"arch,generation\n" if name.endswith("csv") else b'{"a": "')
        file.seek(1024**3)
        file.write(b"x")  # a hole before it, which reads as zeros and takes no room on the disk
    imports, read = READERS[reader]
    code = READING.format(imports=imports, read=read, room=256)
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("\n") == 1
    assert any(words in answer.stdout for words in ("longer than", "larger than", "is damaged")), answer.stdout


@pytest.mark.parametrize("kind", ["compressed", "expanded", "nested", "shape"])
def test_a_checkpoint_that_would_unpack_to_more_than_it_is_is_refused(kind: str) -> None:
    if kind == "compressed":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("archive/data.pkl", bytes(50 * 1024**2))
        data = buffer.getvalue()
    elif kind == "expanded":
        flat = {"torch.float32": torch.zeros(1).expand(10**12)}
        data = archive({"format": 1, "lengths": {}, "state": {"tree": "{}", "flat": flat}})
    elif kind == "nested":
        data = archive({"format": 1, "lengths": {}, "state": {"tree": "[" * 10**5 + "]" * 10**5, "flat": {}}})
    else:
        tree = json.dumps({"__tensor__": ["torch.float32", 0, [10**6, 10**6]]})
        data = archive({"format": 1, "lengths": {}, "state": {"tree": tree, "flat": {"torch.float32": torch.zeros(3)}}})
    with pytest.raises(DamagedError):
        opened(data)


def test_a_checkpoint_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "000000.pt").open("wb") as file:
        file.truncate(1024**4)  # a hole that takes no room
    with pytest.raises(DamagedError, match="no whole archive"):
        read_archive(tmp_path / "000000.pt")


@pytest.mark.parametrize("lengths", [{"history.csv": -5}, {"history.csv": "x"}, {"history.csv": 10**15}, [], None])
def test_lengths_that_are_none_are_refused_and_no_table_is_cut(run: Path, lengths: Any) -> None:
    for path in (run / "checkpoints").glob("*.pt"):
        about, state = opened(path.read_bytes())
        path.write_bytes(sealed({**about, "lengths": lengths}, state))
    before = contents(run)
    with pytest.raises(RunError):
        resume(run, Silent())
    assert contents(run) == before


# safetensors -------------------------------------------------------------------------------------------------------


def header(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(8, "little") + text


HOSTILE_SAFETENSORS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "a header that is longer than the file": lambda data: header(b"{}", 2**62),
    "a header that is no JSON": lambda data: header(b"{{{{"),
    "offsets beyond the end": lambda data: header(
        b'{"a":{"dtype":"F32","shape":[9999999],"data_offsets":[0,39999996]}}'
    ),
    "a shape that does not fit": lambda data: (
        header(b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}}') + bytes(4)
    ),
    "no metadata": lambda data: header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}') + bytes(4),
    "cut off": lambda data: data[:-1],
}


@pytest.mark.parametrize("kind", HOSTILE_SAFETENSORS)
def test_weights_whose_header_lies_are_refused(run: Path, kind: str) -> None:
    from evonas.config import build

    path = run / "supernet" / "state-0.safetensors"
    path.write_bytes(HOSTILE_SAFETENSORS[kind](path.read_bytes()))
    with pytest.raises(RunError):
        load_warmed_up(run, build(read_yaml(run / "config.yaml")), "split")


# Text is shown as it is --------------------------------------------------------------------------------------------

NASTY = "[bold red]x[/][link=file:///etc]y\x1b]0;title\x07\x1b[31m\u202e\u2066z\r\n"


def test_a_terminal_is_told_nothing_by_a_stranger(unbroken: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(unbroken, tmp_path / "run"))

    def poisoned(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: poisoned(value) for key, value in node.items()}
        if isinstance(node, list):
            return [poisoned(value) for value in node]
        return NASTY + node if isinstance(node, str) else node

    result = poisoned(json.loads((copy / "result.json").read_text()))
    (copy / "result.json").write_text(json.dumps(result))
    table = (copy / "generations.csv").read_text().splitlines()
    (copy / "generations.csv").write_text("\n".join([table[0], '"[red]\x1b[31m",' + table[1].partition(",")[2]]) + "\n")
    for terminal in (False, True):
        shown = io.StringIO()
        show(copy, Console(file=shown, force_terminal=terminal, width=300, color_system=None, no_color=True))
        text = shown.getvalue()
        assert "[bold red]x[/][link=file:///etc]y" in text and "[red]" in text, "brackets are no markup"
        for order in ("\x1b]", "\x1b[31m", "\x07", "\u202e", "\u2066"):
            assert order not in text


def test_messages_hold_nothing_that_steers_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from evonas.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("a\x1b[31m\u202e,b\n1,2\n")
    for arguments in (
        ["run", "--table", "a.csv"],
        ["run", "--table", "a.csv", "--set", "table.genotype=x", "--set", "table.fitness=b"],
        ["show", "run\x1b[31m\u202e"],
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        message = capsys.readouterr().err
        assert "\x1b" not in message and "\u202e" not in message and message.count("\n") == 1


def test_printable_keeps_letters_and_drops_orders() -> None:
    assert printable("é日 a\tb\n\x1b[0m c\u202e") == "é日 a b [0m c"


def test_a_hostile_history_is_one_line(run: Path) -> None:
    """What the checkpoint vouches for may still be no history: a stranger writes both."""
    text = rows(run / "history.csv")
    assert text
    for cell, value in (
        ("genotype", "[[["),
        ("genotype", "9" * 5000),
        ("loss", "x"),
        ("generation", "7"),
        ("state", ""),
    ):
        lines = (run / "history.csv").read_text().splitlines(keepends=True)
        copy = Path(
            shutil.copytree(run, run.parent / f"{cell}-{len(value)}-{value[0] if value else ''}".replace("[", "("))
        )
        first = dict(text[0], **{cell: value})
        line = ",".join(f'"{value}"' for value in first.values()) + "\n"
        (copy / "history.csv").write_text("".join([lines[0], line, *lines[2:]]))
        for path in (copy / "checkpoints").glob("*.pt"):
            about, state = opened(path.read_bytes())
            about["lengths"]["history.csv"] = (copy / "history.csv").stat().st_size
            del about["digests"]
            path.write_bytes(sealed(about, state))
        with pytest.raises(RunError, match="is not as evonas writes it"):
            resume(copy, Silent())
