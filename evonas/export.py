"""The best network of a run as a file for elsewhere: safetensors, ONNX or torch.export, and a model card beside it.

Each file carries one JSON text under the key `evonas`, which says what the network is, reads and gives.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from analysis.runs import read_run
from evonas import __version__
from evonas.errors import ConfigError, RunError, nearest
from evonas.found import Description, describe, load
from evonas.model_card import model_card
from evonas.run import write_synced

KEY = "evonas"
TOLERANCE = 1e-4  # largest difference of a logit between ONNX and torch
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export(run: Path, kind: str, out: Path | None = None) -> tuple[Path, Path]:
    """Write the retrained best of a run; returns the file and its model card, FILE.md.

    kind: of FORMATS. out: a file that is not there yet; None: RUN/export/model.*, which is replaced. Equal runs give
    equal bytes. Raises ConfigError for another kind, an `out` that is there or cannot be written, packages that are not
    there, or as `evonas.load` does; RunError where the run has no such network, or where ONNX gives other logits than
    torch, which then is not written.
    """
    if kind not in FORMATS:
        raise ConfigError(f"format {kind!r} is unknown{nearest(kind, FORMATS)}")
    if out is not None and out.exists():
        raise ConfigError(f"{out} exists; choose another --out")
    name, written = FORMATS[kind]
    about, network = describe(run), load(run)
    data = written(network, about)
    file = out or run / "export" / name
    card = model_card(about, read_run(run), file.name, kind)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_synced(file, data)
        write_synced(file.with_name(f"{file.name}.md"), card.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}; choose another --out") from None
    return file, file.with_name(f"{file.name}.md")


def metadata(about: Description) -> str:
    """What every exported file says of its network, as JSON."""
    shape = ", ".join(map(str, about.image_shape))
    return json.dumps(
        {
            "version": __version__,
            "input": f"images: float32 (batch, {shape}), by channel (value / 255 - mean) / std",
            "output": f"logits: float32 (batch, {len(about.classes)}), in the order of classes",
            **about.model_dump(mode="json"),
            # Of a space in code of the user's own, the file and not where it lies.
            "space": {**about.space, "name": Path(str(about.space.get("name"))).name},
        }
    )


def _safetensors(network: nn.Module, about: Description) -> bytes:
    # One key: safetensors writes several in an order that differs from process to process.
    data: bytes = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, _labelled(about))
    return data


def _onnx(network: nn.Module, about: Description) -> bytes:
    require_onnx()
    program = torch.onnx.export(
        network,
        (_examples(about, 2),),
        dynamo=True,
        dynamic_shapes=({0: "batch"},),
        input_names=["images"],
        output_names=["logits"],
        verbose=False,
    )
    assert program is not None, "the exporter gives a program where it is given no file"
    for node in program.model.graph:
        node.metadata_props.clear()  # stack traces, with this machine's paths in them
    program.model.metadata_props.update(_labelled(about))
    data: bytes = program.model_proto.SerializeToString(deterministic=True)
    _require_equal(network, about, data)
    return data


def _torch_export(network: nn.Module, about: Description) -> bytes:
    batch = torch.export.Dim("batch")
    program = torch.export.export(network, (_examples(about, 2),), dynamic_shapes=({0: batch},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=_labelled(about))
    return buffer.getvalue()


FORMATS: dict[str, tuple[str, Callable[[nn.Module, Description], bytes]]] = {
    "safetensors": ("model.safetensors", _safetensors),
    "onnx": ("model.onnx", _onnx),
    "torch-export": ("model.pt2", _torch_export),
}


def require_onnx() -> None:
    """Raise ConfigError with the command that installs what ONNX needs, where it is not there."""
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(f"ONNX needs {', '.join(missing)}; install with `pip install 'evonas[onnx]'`")


def _labelled(about: Description) -> dict[str, Any]:
    return {KEY: metadata(about)}


def _examples(about: Description, images: int) -> torch.Tensor:
    """Normal noise of the input's shape, the same every time."""
    return torch.randn(images, *about.image_shape, generator=torch.Generator().manual_seed(images))


def _require_equal(network: nn.Module, about: Description, data: bytes) -> None:
    """Raise RunError unless onnxruntime gives the network's logits, for batches of other sizes than the traced one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for size in (1, 3):
        images = _examples(about, size)
        with torch.inference_mode():
            expected = network(images)
        difference = float((torch.from_numpy(session.run(None, {"images": images.numpy()})[0]) - expected).abs().max())
        if not difference <= TOLERANCE:
            raise RunError(
                f"the ONNX network differs from torch by {difference:g}, more than {TOLERANCE:g}; not written"
            )
