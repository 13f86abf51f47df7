"""What the pages in docs/ say to type works."""

from __future__ import annotations

import json
import logging
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests_support import TINY

from evonas.cli import main
from evonas.data import ImageData
from evonas.progress import Reporter

DOCS = Path(__file__).parent.parent / "docs"
# In the other layout torch 2.14 crashes in the backward pass of strided 1x1 convolutions of a few channels.
SMALL = (*TINY, "memory_format=contiguous")


def blocks(page: str, language: str) -> list[str]:
    """The code of a page in one language, block by block."""
    found = re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    assert found
    return found


def commands(page: str) -> list[list[str]]:
    """The arguments of each evonas command of a page, in order."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    assert all(line[0] == "evonas" for line in words)
    return [line[1:] for line in words]


def call(arguments: list[str]) -> None:
    """Run a command, its searches at toy size."""
    own_space = "--space" in arguments
    small = [assignment for assignment in SMALL if not (own_space and assignment.startswith("space."))]
    if "--table" in arguments:
        small = []
    sets = [word for assignment in small for word in ("--set", assignment)]
    with pytest.raises(SystemExit) as left:
        main([arguments[0], *(sets if arguments[0] == "run" else []), *arguments[1:]])
    assert not left.value.code, arguments


def test_the_commands_and_the_code_on_own_images_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for label, name in enumerate(("cat", "dog", "owl")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        images = digits.weights.images[digits.weights.labels == label][:40, 0]
        for index, image in enumerate(images):
            Image.fromarray(image.numpy()).convert("RGB").resize((20 + index, 24)).save(f"photos/{name}/{index}.jpg")
    (tmp_path / "new").mkdir()
    (tmp_path / "photos" / "owl" / "0.jpg").rename("new/1.jpg")
    for arguments in commands("own-data.md"):
        call(arguments)
    printed = capsys.readouterr()
    assert re.search(r"^new/1\.jpg  (cat|dog|owl)  \d", printed.out, flags=re.MULTILINE)
    assert "found 3 classes, from 'owl' (39 images) to 'cat' (40), held as RGB of 32x32 pixels" in printed.err
    (code,) = blocks("own-data.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["about"].classes == ("cat", "dog", "owl")
    assert names["about"].image_shape == (3, 32, 32)


def test_the_commands_and_the_code_on_extending_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, code in zip(("spaces", "costs", "algorithms"), blocks("extending.md", "python"), strict=True):
        Path(f"my_{name}.py").write_text(code)
    for arguments in commands("extending.md"):
        call(arguments)
    assert Path("runs/tiny/export/model.safetensors").is_file()
    assert "traffic" in json.loads(Path("runs/traffic/result.json").read_text())["best"]["objectives"]
    result = json.loads(Path("runs/spea2/result.json").read_text())
    assert result["algorithm"] == "spea2"
    assert result["front"]["hypervolume_ratio"] > 0.9


def test_the_commands_and_the_code_on_logging_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, "basicConfig", lambda level: None)  # the handlers are pytest's
    for arguments in commands("logging.md"):
        call(arguments)
    assert {"tensorboard", "mlruns", "log.jsonl"} < {path.name for path in Path("runs/logged").iterdir()}
    read, logger = blocks("logging.md", "python")
    capsys.readouterr()
    names: dict[str, Any] = {}
    exec(read, names)
    exec(logger, names)
    assert len(json.loads(capsys.readouterr().out)) == 3
    assert isinstance(names["reporter"], Reporter)
