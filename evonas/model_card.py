"""The model card of an exported network, in Markdown: what it is, reads and gives, how good it is, how to use it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from analysis.runs import Run
from analysis.table_formats import escaped_markdown
from evonas import __version__
from evonas.found import Description

# How a file of each format is used; {file} is its name, {shape} that of an image with commas.
USES = {
    "safetensors": """\
import json
from safetensors import safe_open

with safe_open({file}, framework="pt") as file:
    about = json.loads(file.metadata()["evonas"])
    weights = {{name: file.get_tensor(name) for name in file.keys()}}
# evonas.load(RUN) gives the module that they are the weights of.
""",
    "onnx": """\
import json
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession({file}, providers=["CPUExecutionProvider"])
about = json.loads(session.get_modelmeta().custom_metadata_map["evonas"])
images = np.zeros((1, {shape}), dtype=np.uint8)  # yours
mean, std = (np.array(about[name], dtype=np.float32).reshape(-1, 1, 1) for name in ("mean", "std"))
(logits,) = session.run(None, {{"images": (images.astype(np.float32) / 255 - mean) / std}})
print([about["classes"][index] for index in logits.argmax(axis=1)])
""",
    "torch-export": """\
import json
import torch

extra = {{"evonas": ""}}
network = torch.export.load({file}, extra_files=extra).module()
about = json.loads(extra["evonas"])
images = torch.zeros((1, {shape}), dtype=torch.uint8)  # yours
mean, std = (torch.tensor(about[name]).view(-1, 1, 1) for name in ("mean", "std"))
logits = network((images / 255 - mean) / std)
print([about["classes"][index] for index in logits.argmax(dim=1)])
""",
}


def model_card(about: Description, run: Run, file: str, kind: str) -> str:
    """The card of `file`, of a format of USES. What the run's files lack is left out."""
    channels, height, width = about.image_shape
    used = USES[kind].format(file=repr(file), shape=", ".join(map(str, about.image_shape)))
    title = f"# Image classifier for {escaped_markdown(about.dataset)}"
    algorithm = escaped_markdown(run.algorithm)
    return "\n".join(
        [
            title,
            "",
            f"`{file}` tells {len(about.classes)} classes of images apart. Its architecture was found by evonas "
            f"{__version__} ({algorithm}), and its weights were trained from scratch.",
            "",
            *_rows(_figures(run)),
            "## Input and output",
            "",
            f"Input `images`: float32 (batch, {channels}, {height}, {width}), any batch. An image is decoded to "
            f"{'grey' if channels == 1 else 'RGB'}, resized to {height}x{width} pixels (bilinear, antialiased) and "
            "normalised by channel, (value / 255 - mean) / std:",
            "",
            *_rows([("mean", _numbers(about.mean)), ("std", _numbers(about.std))]),
            f"Output `logits`: float32 (batch, {len(about.classes)}), in the order of the classes:",
            "",
            *(f"{index}. {escaped_markdown(name)}" for index, name in enumerate(about.classes)),
            "",
            "## Architecture",
            "",
            *(f"- {escaped_markdown(phrase)}" for phrase in about.architecture),
            "",
            "## Use",
            "",
            "```python",
            f"{used.rstrip()}",
            "```",
            "",
            "## Limits",
            "",
            "The test error holds for images like those of the test part. Other images get one of these classes too, "
            "and softmax probabilities are not calibrated.",
            "",
        ]
    )


def _figures(run: Run) -> list[tuple[str, str]]:
    """What the run's files tell of the training."""
    trainings = run.setting("retrain", "seeds")
    error = "test error" if not trainings > 1 else f"mean test error of {trainings:.0f} trainings, this the first"
    images = run.figure("images", "weights") + run.figure("images", "fitness")
    figures = [
        (error, run.figure("best", "test_error"), "{:.2f} %"),
        ("parameters", run.figure("best", "params"), "{:,.0f}"),
        ("multiply-adds", run.figure("best", "flops"), "{:,.0f}"),
        ("training images", images, "{:,.0f}"),
        ("test images", run.figure("images", "test"), "{:,.0f}"),
    ]
    told = [(key, form.format(value)) for key, value, form in figures if math.isfinite(value)]
    words = {"seed": str(run.seed), "device": run.device, "unfair": ", ".join(run.unfair)}
    return [*told, *((key, word) for key, word in words.items() if word)]


def _rows(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """A table of two columns, with an empty line behind it."""
    return ["| | |", "| --- | --- |", *(f"| {key} | {escaped_markdown(value)} |" for key, value in pairs), ""]


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.6f}" for value in values)
