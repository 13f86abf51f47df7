"""Bad input of every kind: exit code 2, one line with what came, what was expected or the way out, nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from faulty_runs import SMALLEST, contents
from PIL import Image
from tests_support import TINY

from evonas.checkpoint import opened, sealed
from evonas.cli import main
from evonas.config import DatasetSettings
from evonas.data import load
from evonas.stored import read_result

SETS = [word for assignment in (*TINY[1:], *SMALLEST) for word in ("--set", assignment)]  # without the device


class Case(NamedTuple):
    """A command, what has to lie there before it, and words of the message."""

    command: str
    words: str
    prepare: Callable[[Path], object] = lambda here: None


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda here: (here / name).write_bytes(data)


def images(change: Callable[[Path], object] = lambda folder: None, side: int = 8) -> Callable[[Path], object]:
    """A folder `data` of two classes with six grey images each in either split, changed."""

    def make(here: Path) -> None:
        rng = np.random.default_rng(0)
        for split in ("train", "test"):
            for name in ("cat", "dog"):
                (here / "data" / split / name).mkdir(parents=True)
                for number in range(6):
                    save(here / "data" / split / name / f"{number}.png", rng.integers(0, 255, (side, side)))
        change(here / "data")

    return make


def save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def emptied(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def one_image(folder: Path) -> None:
    for file in sorted(folder.iterdir())[1:]:
        file.unlink()


def table(*lines: str) -> Callable[[Path], object]:
    return text("t.csv", "".join(line + "\n" for line in lines))


def state(name: str, content: str | bytes | None) -> Callable[[Path], object]:
    """A finished run `run` in which a file is replaced, or lacks."""

    def change(here: Path) -> None:
        if content is None:
            (here / "run" / name).unlink()
        else:
            (here / "run" / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def unfinished(change: Callable[[Path], object] = lambda run: None) -> Callable[[Path], object]:
    """The run taken for one that is not finished, and changed."""

    def make(here: Path) -> None:
        shutil.rmtree(here / "run")
        (here / "stopped").rename(here / "run")
        change(here / "run")

    return make


def other_format(run: Path) -> None:
    for path in (run / "checkpoints").glob("*.pt"):
        torch.save({"format": 99, "lengths": {}, "state": {}}, path)


def damaged(run: Path) -> None:
    for path in (run / "checkpoints").glob("*.pt"):
        path.write_bytes(path.read_bytes()[:-7])


def resized(run: Path) -> None:
    """Settings of another width than the checkpoints are of."""
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("  width: 2", "  width: 3"))


def foreign(run: Path) -> None:
    """Checkpoints of a supernet of another size that claim to be of this one."""
    for path in (run / "checkpoints").glob("*.pt"):
        about, content = opened(path.read_bytes())
        weights = content["trainer"]["supernet"]
        content["trainer"]["supernet"] = {name: torch.zeros(3) for name in weights}
        path.write_bytes(sealed(about, content))


def peers(**cells: str) -> Callable[[Path], object]:
    """A file p.csv with one row like those that are shipped, some cells replaced."""
    row = {
        "key": "a", "name": "A", "year": "2020", "venue": "", "category": "automatic", "search_method": "evolution",
        "dataset": "cifar10", "error_pct": "2.5", "error_std": "", "params_m": "3", "gpu_days": "1", "cutout": "yes",
        "source": "s", "source_url": "https://a.b/c", "verified": "yes", "in_comparison": "yes", "note": "",
    } | cells  # fmt: skip
    return text("p.csv", ",".join(row) + "\n" + ",".join(row.values()) + "\n")


FOLDER = "run --dataset imagefolder --data-dir data"
TABLE = "run --table t.csv --space nb-macro --set table.genotype=arch --set table.fitness=acc"
PEERS = "tables --out o --peers p.csv"
CASES = {
    # Command line
    "no such command": Case("serch", "serch"),
    "no such option": Case("run --sed 3", "--sed"),
    "no such algorithm": Case("run nsga9", "did you mean 'nsga3'"),
    "an option without its value": Case("run --seed", "--seed"),
    "a seed that is text": Case("run --seed one", "--seed"),
    "a negative seed": Case("run --seed -1", "seed is -1; expected greater than or equal to 0"),
    "no such data set": Case("run --dataset cifar1", "did you mean 'cifar10'"),
    "no such space": Case("run --space dart", "did you mean 'darts'"),
    "no such device": Case("run --device gpu", "expected 'auto', 'cpu' or 'cuda'"),
    "a time that is negative": Case("run --max-seconds -1", "max-seconds"),
    "two algorithms": Case("run ga nsga2", "nsga2"),
    "an out that is a file": Case("run --out f", "f is a file; choose another --out", text("f", "x")),
    "an out below a file": Case("run --out f/run", "cannot make the run folder f/run", text("f", "x")),
    "an out with a run": Case("run --out run", "evonas resume run"),
    "no such network": Case("retrain darts-v3", "did you mean 'darts-v2'"),
    "genes that are none": Case("retrain [1,2", "is not valid YAML"),
    "genes of another length": Case("retrain [1,2]", "[1, 2] is no genotype of single-path"),
    "top of nothing": Case("retrain run --top 0", "top"),
    "an arm of the other kind": Case("ablate --table nb-macro --arms no-finetune", "is for searches with a supernet"),
    "a table of another space for truth": Case("correlate run --table nb-macro", "is of the space nb-macro, and the"),
    "no such arm": Case("ablate --table nb-macro --arms ful", "did you mean 'full'"),
    "tables without a place": Case("tables", "--out"),
    # Settings
    "no settings file": Case("run --config none.yaml", "cannot read the settings file none.yaml: No such file"),
    "a folder for a settings file": Case("run --config run/", "cannot read the settings file run: Is a directory"),
    "an empty settings file": Case("run --config e.yaml", "settings file e.yaml is empty", text("e.yaml", "# no")),
    "a key without its section": Case("run --set population=3", "did you mean 'search.population'?"),
    "a key in no section of many": Case("run --set epochs=3", "'supernet.epochs' or 'finetune.epochs' or 'retrain"),
    "no such shipped settings": Case("settings digit", "did you mean 'digits'"),
    "a space without its class": Case("check-space s.py", "'s.py' is a file, and no class in it is named"),
    "an empty key": Case("run --set =3", "is no assignment; expected key=value"),
    "an unknown key": Case("run --set search.poplation=3", "did you mean 'search.population'"),
    "a key below a number": Case("run --set seed.x=3", "seed is {'x': 3}; expected a whole number"),
    "a list for a number": Case("run --set seed=[1]", "seed is [1]; expected a whole number"),
    "a date for a number": Case("run --set seed=2020-01-01", "seed is"),
    "a mapping for a name": Case("run --set space.name={a:1}", "is no search space"),
    "a list for a section": Case("run --set supernet=[1,2]", "supernet is [1, 2]; expected settings"),
    "keys that are numbers": Case("run --config a.yaml", "1", text("a.yaml", "1: 2\n")),
    "keys that are lists": Case("run --config a.yaml", "not valid YAML", text("a.yaml", "[1, 2]: 2\n")),
    "settings that are a list": Case("run --config a.yaml", "a.yaml holds a list; expected", text("a.yaml", "- 1\n")),
    "settings that are binary": Case("run --config a.yaml", "not UTF-8 text", text("a.yaml", b"\xff\xfe\x00")),
    "settings cut off": Case("run --config a.yaml", "a.yaml line 1 is not valid YAML", text("a.yaml", "search: {a: 1")),
    "an alias bomb": Case("run --config a.yaml", "aliases are not taken", text("a.yaml", "a: &a [1]\nb: [*a, *a]\n")),
    "infinity": Case("run --set supernet.lr=.inf", "supernet.lr is inf; expected a finite number"),
    "no number": Case("run --set finetune.lr=.nan", "finetune.lr is nan"),
    "a share beyond one": Case("run --set search.crossover=1.5", "search.crossover is 1.5; expected less than"),
    "no room for children": Case("run --set search.elites=90", "leave no room for children"),
    "no room beside the default": Case("run --table nb-macro --set search.elites=60", "leave no room for children"),
    "a table of another space": Case(
        "run --table nb-macro --space single-path", "is of the space nb-macro, and the settings have single-path"
    ),
    "a width beyond memory": Case("run --set space.width=1e9", "space.width is 1000000000.0; expected less than"),
    "a space of a million layers": Case("run --set space.layers=[1e6,1,1]", "space.layers is"),
    "too many threads": Case("run --set threads=1e6", "threads is 1000000.0; expected less than or equal to 1024"),
    "an unknown operation": Case("run --set space.operations=[conv3,conv4]", "operation 'conv4' is unknown"),
    "a limit that nothing keeps": Case("run --set problem.limits.params=1", "no network of single-path has less than"),
    "no such objective": Case("run --set problem.objectives=[acc]", "evonas: problem.objectives: 'acc' is unknown"),
    "times that are not there": Case(
        "run --set problem.objectives=[loss,latency] --set problem.latency_file=no.csv",
        "cannot read the times of a device",
    ),
    "times that are none": Case(
        "run --set problem.objectives=[loss,latency] --set problem.latency_file=t.csv",
        "t.csv holds no times of one device",
        text("t.csv", "what,milliseconds,batch,device\na,-1,1,x\n"),
    ),
    "times of parts and of networks": Case(
        "run --set problem.latency=measured --set problem.latency_file=t.csv", "latency_file holds times of parts"
    ),
    "times onto a file": Case("latency --config digits --out t.csv", "t.csv exists", text("t.csv", "x")),
    "more images than there are": Case("run --set dataset.train_images=1e5", "digits has 1437; ask for fewer"),
    "all images for fitness": Case("run --set dataset.fitness_share=0.999", "cannot be split"),
    # Data folders
    "no data folder named": Case("run --dataset imagefolder", "imagefolder needs --data-dir"),
    "no data folder there": Case("run --dataset imagefolder --data-dir no", "no is no folder; give the one that holds"),
    "an empty data folder": Case(FOLDER, "data is empty; expected train/<class>", lambda here: (here / "data").mkdir()),
    "a class folder as data": Case(
        FOLDER.replace("data-dir data", "data-dir data/train/cat"), "give the folder above it", images()
    ),
    "a data folder for digits": Case("run --data-dir data", "--dataset imagefolder for images of your own", images()),
    "one split of a data set": Case(
        "run --dataset cifar10 --data-dir data/train", "is one split of a data set; give the folder of both", images()
    ),
    "no training images": Case(FOLDER, "data has no train folder", images(lambda d: shutil.rmtree(d / "train"))),
    "an empty class": Case(FOLDER, "class 'cat' has no images in", images(lambda d: emptied(d / "train" / "cat"))),
    "one class": Case(FOLDER, "one class folder, 'dog'", images(lambda d: shutil.rmtree(d / "train" / "cat"))),
    "a class that test lacks": Case(FOLDER, "lacks 1 of 2", images(lambda d: shutil.rmtree(d / "test" / "cat"))),
    "a class that train lacks": Case(FOLDER, "'owl' that is not expected", images(lambda d: (d / "test/owl").mkdir())),
    "a corrupt image": Case(
        FOLDER, "3.png cannot be decoded as an image", images(lambda d: (d / "train/dog/3.png").write_bytes(b"PNG"))
    ),
    "a truncated image": Case(
        FOLDER,
        "3.png cannot be decoded as an image",
        images(lambda d: (d / "train/dog/3.png").write_bytes((d / "train/dog/3.png").read_bytes()[:60])),
    ),
    "an image that is a folder": Case(
        FOLDER, "9.png cannot be decoded as an image", images(lambda d: (d / "train/dog/9.png").mkdir())
    ),
    "one image": Case(FOLDER, "class 'dog' has 1 training images", images(lambda d: one_image(d / "train" / "dog"))),
    "a known data set that is not there": Case("run --dataset cifar10 --data-dir run", "CIFAR10 is not in"),
    "digits from a folder": Case("run --data-dir run", "digits come with evonas and are read from no folder"),
    # Tables
    "no such table": Case("run --table t.csv", "'t.csv' is no file and no shipped table"),
    "an empty table": Case(TABLE, "has no rows; expected a header line", text("t.csv", "")),
    "a header alone": Case(TABLE, "has no rows; expected a header line", table("arch,acc")),
    "columns not named": Case("run --table t.csv", "--set table.genotype=...", table("arch,acc", "00000000,50")),
    "no such column": Case(TABLE.replace("=arch", "=arc"), "did you mean 'arch'", table("arch,acc", "00000000,50")),
    "a ragged row": Case(TABLE, "row 1 (line 2) has 1 cells", table("arch,acc", "00000000")),
    "a gene beyond its values": Case(TABLE, "gene 8 is 9; expected 0 to 2", table("arch,acc", "00000009,50")),
    "a genotype twice": Case(TABLE, "a second time", table("arch,acc", "00000000,50", "00000000,51")),
    "a table with gaps": Case(TABLE, "has no row for the genotype", table("arch,acc", "00000000,50")),
    "a binary table": Case(TABLE, "it is not CSV in UTF-8", text("t.csv", b"\xff\xfe\x00\x01")),
    "a table with an open quote": Case(TABLE, "it is not CSV", text("t.csv", 'arch,acc\n"0000,50\n')),
    "a first population that is none": Case("run --init t.csv", "has no column `genotype`", table("a", "1")),
    "a first population of another space": Case("run --init t.csv", "line 2: column", table("genotype", "[9]")),
    "a first population that is not there": Case("run --init t.csv", "cannot read the first population from"),
    # Run folders
    "no such run": Case("resume no", "no does not exist; give the folder of a run"),
    "a file for a run": Case("show f", "f is no run folder", text("f", "x")),
    "a folder that is no run": Case("show empty", "empty is no run folder", lambda here: (here / "empty").mkdir()),
    "a run without settings": Case("show run", "run is no run folder", state("config.yaml", None)),
    "a run of a newer format": Case("show run", "has format 99, and evonas", state("format.json", '{"format": 99}')),
    "a run of no format": Case("show run", "format.json is damaged", state("format.json", "{")),
    "a result of a newer format": Case("show run", "has format 99", state("result.json", '{"format": 99}')),
    "a damaged result": Case("show run", "result.json is damaged", state("result.json", '{"best": ')),
    "a result that is a list": Case("resume run", "result.json is damaged", state("result.json", "[]")),
    "a result without its best": Case("show run", "is not as evonas writes it", state("result.json", '{"seed": 0}')),
    "generations that are text": Case(
        "show run", "is not as evonas writes it", state("generations.csv", "state,best\n0,good\n")
    ),
    "generations that are binary": Case("show run", "cannot be read", state("generations.csv", b"\xff\xfe\x00\n")),
    "settings of another version": Case(
        "resume run", "unknown setting 'warp'", unfinished(lambda run: (run / "config.yaml").write_text("warp: 9\n"))
    ),
    "settings of nothing": Case(
        "resume run", "not valid YAML", unfinished(lambda run: (run / "config.yaml").write_bytes(b"\0\0"))
    ),
    "checkpoints of a newer format": Case("resume run", "has format 99, and evonas", unfinished(other_format)),
    "checkpoints that are damaged": Case("resume run", "no checkpoint of run can be read", unfinished(damaged)),
    "checkpoints of another space": Case("resume run", "of a search by other settings", unfinished(resized)),
    "checkpoints of another supernet": Case("resume run", "is not as evonas writes it", unfinished(foreign)),
    "a history that was cut": Case(
        "resume run", "history.csv is shorter than it was", unfinished(lambda run: (run / "history.csv").write_text(""))
    ),
    "an unfinished run to train from": Case("retrain run", "run is not finished; go on with it first", unfinished()),
    "a supernet from no run": Case("run --set supernet.from=nowhere", "nowhere does not exist"),
    "a supernet that was cut": Case(
        "run --set supernet.from=run", "state-0.safetensors cannot be read", state("supernet/state-0.safetensors", b"x")
    ),
    "a supernet of another recipe": Case("run --set supernet.from=run --set supernet.epochs=9", "warmed up otherwise"),
    "a truth that is not named": Case("correlate run", "name the table of the truth by --table"),
    "no run to compare": Case("tables no --out o", "no does not exist"),
    "a newer run to compare": Case("tables run --out o", "has format 99", state("format.json", '{"format": 99}')),
    "a run twice to compare": Case(
        "tables run copy --out o", "the same seed", lambda here: shutil.copytree(here / "run", here / "copy")
    ),
    # Peers
    "no peers": Case("tables --out o --peers p.csv", "cannot read p.csv: No such file"),
    "peers without columns": Case("tables --out o --peers p.csv", "has no column 'key'", text("p.csv", "a,b\n1,2\n")),
    "an error beyond 100": Case(PEERS, "expected the test error in percent", peers(error_pct="101")),
    "a year of words": Case("plots --out o --peers p.csv", "column 'year' is 'last'", peers(year="last")),
    "an address of a script": Case(PEERS, "an address that begins with http", peers(source_url="javascript:alert(1)")),
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, unbroken: Path, stopped: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder but for a finished run and a stopped one."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(unbroken, tmp_path / "run")
    shutil.copytree(stopped, tmp_path / "stopped")
    return tmp_path


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_and_code_2_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    case = CASES[name]
    case.prepare(here)
    names, before = sorted(here.rglob("*")), contents(here)
    words = case.command.split()
    if words[0] == "run" and not {"--config", "--table", "--dataset"} & set(words):
        words = [*words[:1], *SETS, *words[1:]]  # small, so that a mistake that goes unnoticed costs little
    with pytest.raises(SystemExit) as caught:
        main(words)
    out, err = capsys.readouterr()
    assert caught.value.code == 2, err
    assert err.startswith("evonas: ") and err.count("\n") == 1 and out == ""
    assert case.words in err
    assert sorted(here.rglob("*")) == names and contents(here) == before


GOOD = {
    "greyscale": lambda data: None,
    "colour among grey": lambda data: save(data / "train/dog/3.png", np.zeros((8, 8, 3))),
    "alpha": lambda data: save(data / "train/dog/3.png", np.zeros((8, 8, 4))),
    "names of any kind": lambda data: (data / "train/dog/3.png").rename(data / "train/dog/ä [red]\n.PNG"),
    "files that are no images": lambda data: (data / "train/dog/notes.txt").write_text("mine"),
}  # fmt: skip


@pytest.mark.parametrize("kind", GOOD)
def test_odd_data_folders_that_can_be_used_are_used(tmp_path: Path, kind: str) -> None:
    images(GOOD[kind])(tmp_path)
    data = load(DatasetSettings(name="imagefolder", dir=str(tmp_path / "data")), torch.device("cpu"))  # type: ignore[call-arg]
    assert data.classes == ("cat", "dog") and len(data.train) == 12


def test_numbers_that_json_allows_and_nobody_expects_are_read(tmp_path: Path) -> None:
    for content in ('{"seed": NaN}', '{"seed": 1e999}', json.dumps({"a": "x" * 10**6})):
        (tmp_path / "result.json").write_text(content)
        assert read_result(tmp_path) is not None
