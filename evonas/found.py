"""The networks that a run has found, as ordinary modules."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from evonas.config import Model, build, read_yaml
from evonas.errors import ConfigError, RunError
from evonas.networks import build_subnet, build_supernet
from evonas.run import require_run, state_files
from evonas.spaces import Genotype, Space, build_space
from evonas.supernet.extract import inherited

Weights = Literal["retrained", "inherited"]


class Description(Model):
    """The best network of a run, and what goes in and comes out: RUN/best/architecture.json.

    image_shape: (C, H, W). mean, std: (C,), of values / 255; a network reads (value / 255 - mean) / std. classes: in
    the order of its logits. genotype, architecture: integers, one a gene, and in words, one phrase a unit of the space.
    weights: whose they are in RUN/best, None where it was not trained.
    """

    space: dict[str, Any]
    genotype: tuple[int, ...]
    architecture: tuple[str, ...]
    dataset: str
    classes: tuple[str, ...] = Field(min_length=2)
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: Literal["retrained"] | None

    def build_space(self) -> Space:
        """The space it was found in. Raises ConfigError for settings that make none, or code that must not run."""
        return build_space(build({"space": self.space}).space)


def describe(run: str | PathLike[str]) -> Description:
    """What the best network of a run is, reads and gives. Raises RunError where the run has none, or it is damaged."""
    run = Path(run)
    require_run(run)
    path = run / "best" / "architecture.json"
    try:
        return Description.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{run} has no network yet; let it come to its end (`evonas resume {run}`)") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}; put a copy back") from None
    except ValidationError as error:
        if (read_yaml(run / "config.yaml").get("table") or {}).get("file") is not None:
            raise RunError(f"{run} searched a table and has no network on images") from None
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "its text"
        raise RunError(f"{path} describes no network on images ({key}: {first['msg']})") from None


def load(
    run: str | PathLike[str], genotype: Sequence[int] | None = None, weights: Weights | None = "retrained"
) -> nn.Module:
    """A network of a finished run as an ordinary module, in evaluation mode, on the CPU.

    It maps float images (N, C, H, W), normalised as `describe(run)` says, to logits (N, classes), and holds the layers
    of this one network alone. genotype: None is the run's best. weights: `retrained` are those of the best, trained
    from scratch; `inherited` are copied from the run's last supernet state, in the supernet's size; None draws fresh
    ones. Inherited batch norms hold statistics that mix all paths of the supernet: gather them anew (as
    `evonas.supernet.statistics.gather` does) before the network is used.

    Raises RunError where the run has no such network or weights, or its files are damaged; ConfigError for weights of
    another name, or a space in code of the user's own that must not run.
    """
    run = Path(run)
    about = describe(run)
    space = about.build_space()
    chosen = about.genotype if genotype is None else tuple(genotype)
    if not all(isinstance(gene, int | np.integer) for gene in chosen) or not space.is_valid(chosen):
        raise RunError(f"{list(chosen)} is no genotype of {run}'s space, {space.name} ({space.n_genes} genes)")
    chosen = tuple(int(gene) for gene in chosen)
    match weights:
        case None:
            return build_subnet(space, chosen, about.image_shape[0], len(about.classes)).eval()
        case "retrained":
            return _retrained(run, about, space, chosen).eval()
        case "inherited":
            return _inherited(run, about, space, chosen).eval()
    raise ConfigError(f"weights is {weights!r}; choose one of retrained, inherited, None")


def _retrained(run: Path, about: Description, space: Space, genotype: Genotype) -> nn.Module:
    if about.weights is None:
        raise RunError(f"{run} has trained no network from scratch; do that first (`evonas retrain {run}`)")
    if genotype != about.genotype:
        raise RunError(
            f"{run} holds the retrained weights of its best network {list(about.genotype)} alone; take inherited ones, "
            f"or train {list(genotype)} (`evonas retrain`)"
        )
    network = build_subnet(space, genotype, about.image_shape[0], len(about.classes))
    _fill(network, run / "best" / "model.safetensors")
    return network


def _inherited(run: Path, about: Description, space: Space, genotype: Genotype) -> nn.Module:
    files = state_files(run)
    if not files:
        raise RunError(f"{run} has no supernet state from which weights could be inherited")
    channels, classes = about.image_shape[0], len(about.classes)
    supernet = build_supernet(space, channels, classes)
    _fill(supernet, files[max(files)])
    return inherited(space, supernet, genotype, channels, classes)


def _fill(module: nn.Module, path: Path) -> None:
    """Put the weights of a file into a module. Raises RunError where it cannot be read, or is of another network."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
        module.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise RunError(f"{path} does not hold the weights of this network ({reason})") from None
