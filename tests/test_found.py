"""Found networks as ordinary modules: loaded, exported, and applied to image files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor, nn

import evonas
from evonas import export as exporting
from evonas.augmentation import Normaliser
from evonas.cli import main
from evonas.data import ImageData
from evonas.errors import ConfigError, DataError, EvonasError, RunError
from evonas.export import FORMATS, export
from evonas.networks import Supernet, build_supernet
from evonas.predict import predict
from evonas.run import state_files
from evonas.supernet.statistics import batch_statistics

OTHER = (0, 1, 2)


@pytest.fixture(scope="module")
def normalised(finished_run: Path, digits: ImageData) -> Tensor:
    """The real test images as the network reads them."""
    about = evonas.describe(finished_run)
    return Normaliser(about.mean, about.std, torch.device("cpu"))(digits.open_test("tests").images)


@pytest.fixture
def copy(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "copy"))


def change(run: Path, **values: object) -> None:
    file = run / "best" / "architecture.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


# Loading --------------------------------------------------------------------------------------------------------


def test_importing_evonas_imports_no_torch() -> None:
    code = "import sys, evonas; assert 'torch' not in sys.modules; evonas.load; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_best_network_makes_the_errors_that_were_reported(
    finished_run: Path, normalised: Tensor, digits: ImageData
) -> None:
    result = json.loads((finished_run / "result.json").read_text())
    network = evonas.load(finished_run)
    assert not network.training
    with torch.inference_mode():
        wrong = network(normalised).argmax(dim=1) != digits.open_test("tests").labels
    assert 100 * float(wrong.double().mean()) == pytest.approx(result["best"]["test_error"], abs=0.3)
    assert sum(parameter.numel() for parameter in network.parameters()) == result["best"]["params"]


def test_no_module_of_a_found_network_holds_a_choice(finished_run: Path) -> None:
    for weights in ("retrained", "inherited", None):
        modules = list(evonas.load(finished_run, weights=weights).modules())  # type: ignore[arg-type]
        assert not [m for m in modules if isinstance(m, Supernet | nn.ModuleList)]


def test_inherited_weights_are_the_last_states(finished_run: Path, normalised: Tensor) -> None:
    from safetensors.torch import load_file

    about = evonas.describe(finished_run)
    supernet = build_supernet(about.build_space(), 1, 10)
    states = state_files(finished_run)
    assert len(states) == 2
    supernet.load_state_dict(load_file(states[max(states)]))
    with pytest.raises(ConfigError, match="choose one of retrained, inherited, None"):
        evonas.load(finished_run, OTHER, weights="shared")  # type: ignore[arg-type]
    network = evonas.load(finished_run, OTHER, weights="inherited")
    with torch.no_grad(), batch_statistics(supernet), batch_statistics(network):
        assert torch.equal(network(normalised), supernet(normalised, OTHER))


def test_fresh_weights_come_from_torchs_generator(finished_run: Path) -> None:
    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return next(evonas.load(finished_run, OTHER, weights=None).parameters())

    assert torch.equal(drawn(0), drawn(0)) and not torch.equal(drawn(0), drawn(1))


def _no_network(run: Path) -> None:
    (run / "best" / "architecture.json").unlink()


def _cut_off(run: Path) -> None:
    file = run / "best" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_network, "has no network yet"),
        (_cut_off, "does not hold the weights of this network"),
        (lambda run: change(run, classes=["a", "b"]), "does not hold the weights of this network"),
        (lambda run: change(run, weights=None), "trained no network from scratch.*evonas retrain"),
        (lambda run: change(run, mean="x"), "describes no network on images .mean: "),
        (lambda run: change(run, space={"name": "x"}), "'x' is no search space"),
        (lambda run: change(run, genotype=[9]), r"\[9\] is no genotype"),
        (lambda run: (run / "best" / "architecture.json").write_text("{"), "describes no network on images"),
    ],
)
def test_a_network_that_cannot_be_had_is_one_clear_line(
    copy: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(copy)
    with pytest.raises(EvonasError, match=message) as caught:
        evonas.load(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("genes", ["abc", [0.5, *OTHER[1:]], [*OTHER, 0], OTHER[1:], [99, *OTHER[1:]]])
def test_genes_that_are_none_are_one_clear_line(finished_run: Path, genes: Any) -> None:
    with pytest.raises(RunError, match="is no genotype of"):
        evonas.load(finished_run, genes, weights="inherited")
    evonas.load(finished_run, np.array(OTHER), weights="inherited")


def test_a_search_on_a_table_has_no_network_to_load(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["run", "ga", "--table", "nb-macro", "--out", str(tmp_path / "run"), "--quiet"])
    for use in (evonas.load, evonas.describe):
        with pytest.raises(RunError, match="searched a table and has no network on images"):
            use(tmp_path / "run")


def test_only_the_best_has_retrained_weights(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"of its best network .* alone; take inherited ones"):
        evonas.load(finished_run, OTHER)
    with pytest.raises(RunError, match="does not exist"):
        evonas.load(tmp_path / "absent")


# Exporting ------------------------------------------------------------------------------------------------------


def test_safetensors_hold_weights_and_all_that_is_needed_to_use_them(copy: Path) -> None:
    file, _ = export(copy, "safetensors")
    with safe_open(file, framework="pt") as opened:
        about = json.loads(opened.metadata()["evonas"])
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
    network = evonas.load(copy, weights=None)
    network.load_state_dict(weights)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), evonas.load(copy).parameters(), strict=True))
    described = json.loads((copy / "best" / "architecture.json").read_text())
    assert {key: about[key] for key in described} == described


def test_onnx_gives_torchs_logits_on_real_images_in_any_batch(copy: Path, normalised: Tensor) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    file, _ = export(copy, "onnx")
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    network = evonas.load(copy)
    for size in (1, 7, len(normalised)):
        (found,) = session.run(None, {"images": normalised[:size].numpy()})
        with torch.inference_mode():
            assert np.abs(found - network(normalised[:size]).numpy()).max() < 1e-4
    about = json.loads(session.get_modelmeta().custom_metadata_map["evonas"])
    assert about["classes"] == [str(digit) for digit in range(10)] and about["image_shape"] == [1, 8, 8]
    assert str(Path.cwd()).encode() not in file.read_bytes()


def test_torch_export_gives_the_same_logits(copy: Path, normalised: Tensor) -> None:
    file, _ = export(copy, "torch-export")
    extra = {"evonas": ""}
    network = torch.export.load(file, extra_files=extra).module()
    with torch.inference_mode():
        assert torch.allclose(network(normalised[:5]), evonas.load(copy)(normalised[:5]), atol=1e-6)
    assert json.loads(extra["evonas"])["mean"] == list(evonas.describe(copy).mean)
    assert str(Path.cwd()).encode() not in file.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_card_says_what_the_file_is_and_its_code_runs(
    copy: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    change(copy, classes=["| <b>", *"123456789"])
    file, card = export(copy, kind)
    text = card.read_text()
    result = json.loads((copy / "result.json").read_text())
    assert f"{result['best']['test_error']:.2f} %" in text and f"{result['best']['params']:,}" in text
    assert "0. \\| &lt;b&gt;" in text
    monkeypatch.chdir(file.parent)
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["about"]["genotype"] == result["best"]["genotype"]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_run_gives_the_same_bytes(copy: Path, kind: str) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    first, second = ([file.read_bytes() for file in export(copy, kind)] for _ in range(2))
    assert first == second


def test_an_onnx_file_that_differs_is_not_written(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    monkeypatch.setattr(exporting, "TOLERANCE", 0.0)
    with pytest.raises(RunError, match="differs from torch by"):
        export(copy, "onnx")
    assert not (copy / "export").exists()


def test_without_the_extra_the_command_that_installs_it_is_told(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    assert call("export", finished_run, "--format", "onnx") == 2
    assert "install with `pip install 'evonas[onnx]'`" in capsys.readouterr().err


def test_a_file_that_is_there_and_a_format_that_is_not_are_refused(finished_run: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    with pytest.raises(ConfigError, match="exists; choose another --out"):
        export(finished_run, "safetensors", kept)
    assert kept.read_text() == "mine"
    with pytest.raises(ConfigError, match="'onx' is unknown; did you mean 'onnx'"):
        export(finished_run, "onx")


def test_export_writes_where_it_is_told(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "net.safetensors"
    assert call("export", finished_run, "--format", "safetensors", "--out", out) == 0
    assert {path.name for path in out.parent.iterdir()} == {"net.safetensors", "net.safetensors.md"}
    assert str(out) in capsys.readouterr().out


# Predicting -----------------------------------------------------------------------------------------------------


def write_digits(folder: Path, digits: ImageData, count: int) -> list[Path]:
    files = []
    for index, image in enumerate(digits.open_test("tests").images[:count, 0]):
        files.append(folder / f"{index:03d}.png")
        Image.fromarray(image.numpy()).save(files[-1])
    return files


def test_predictions_are_the_networks_on_the_same_pixels(
    finished_run: Path, normalised: Tensor, digits: ImageData, tmp_path: Path
) -> None:
    files = write_digits(tmp_path, digits, 300)
    found = list(predict(finished_run, files))
    with torch.inference_mode():
        expected = evonas.load(finished_run)(normalised[:300]).softmax(dim=1)
    assert [prediction.file for prediction in found] == files
    assert [prediction.best for prediction in found] == [str(index) for index in expected.argmax(dim=1).tolist()]
    values = torch.tensor([list(prediction.probabilities.values()) for prediction in found])
    assert torch.allclose(values, expected, atol=1e-5)


def test_images_of_other_sizes_and_modes_are_read_as_training_images(
    finished_run: Path, digits: ImageData, tmp_path: Path
) -> None:
    (file,) = write_digits(tmp_path, digits, 1)
    image = Image.open(file)
    image.convert("RGB").save(tmp_path / "colour.png")
    image.resize((24, 24), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    plain, colour, large = predict(finished_run, [file, tmp_path / "colour.png", tmp_path / "large.png"])
    assert colour.probabilities == pytest.approx(plain.probabilities, abs=1e-6)
    assert large.best == plain.best


def test_predict_prints_a_line_or_an_object_an_image(
    finished_run: Path, digits: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_digits(tmp_path, digits, 2)
    assert call("predict", finished_run, *files) == 0
    assert re.fullmatch(r"(\S+\.png  \d  \d+\.\d%\n){2}", capsys.readouterr().out)
    assert call("predict", finished_run, *files, "--json") == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [found["image"] for found in objects] == [str(file) for file in files]
    assert sum(objects[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_what_is_no_image_is_named(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    for name, message in (("absent.png", "does not exist"), (".", "is a folder"), ("text.png", "cannot be decoded")):
        with pytest.raises(DataError, match=message):
            list(predict(finished_run, [tmp_path / name]))


def test_a_description_that_is_a_folder_is_named(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "best" / "architecture.json").unlink()
    (run / "best" / "architecture.json").mkdir()
    with pytest.raises(RunError, match=r"cannot read .*architecture\.json: Is a directory"):
        evonas.describe(run)
