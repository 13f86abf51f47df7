"""Reuse of a warmed-up supernet: many searches from one state 0, so that they differ in nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from evonas.config import Settings, build, read_yaml
from evonas.errors import RunError
from evonas.run import require_run, trusted


@dataclass(frozen=True)
class WarmedUp:
    """weights: the supernet's state 0 by name. seconds: what its warm-up took, on `device`. seed: of that run."""

    weights: Mapping[str, Tensor]
    seconds: float
    seed: int
    device: str


def recipe(settings: Settings, split: str) -> str:
    """Digest of everything but the seed that a warmed-up supernet depends on: space, images, split and recipe."""
    dataset = settings.dataset.model_dump(mode="json", exclude={"dir"})
    supernet = settings.supernet.model_dump(mode="json", exclude={"source"})
    if settings.supernet.crop is None:  # as in supernets of before there was the setting
        del supernet["crop"]
    parts = [settings.space.model_dump(mode="json"), dataset, supernet, split]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def metadata(settings: Settings, split: str, state: int, origin: WarmedUp) -> dict[str, str]:
    """What the file of a supernet state says of itself; `origin` is the warm-up that it goes back to."""
    return {
        "state": str(state),
        "split": split,
        "recipe": recipe(settings, split),
        "seed": str(origin.seed),
        "warmup_seconds": f"{origin.seconds:.3f}",
        "device": origin.device,
    }


def load_warmed_up(run: Path, settings: Settings, split: str) -> WarmedUp:
    """State 0 of another run. Raises RunError where it has none, or comes from other images, space or recipe."""
    from safetensors import SafetensorError, safe_open

    require_run(run)
    path = run / "supernet" / "state-0.safetensors"
    if not path.is_file():
        raise RunError(f"{run} has no {path.relative_to(run)} yet; let its warm-up end first (`evonas resume {run}`)")
    try:
        with safe_open(path, framework="pt") as file:
            found = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read ({error}); warm up anew") from None
    if found.get("recipe") != recipe(settings, split):
        raise RunError(f"the supernet of {run} was warmed up otherwise ({_difference(run, settings, found, split)})")
    with trusted(path):
        return WarmedUp(weights, float(found["warmup_seconds"]), int(found["seed"]), found["device"])


def _difference(run: Path, settings: Settings, found: Mapping[str, str], split: str) -> str:
    """The settings in which two warm-ups differ, in words."""
    other = build(read_yaml(run / "config.yaml"))
    names = []
    for section in ("space", "dataset", "supernet"):
        ours, theirs = (getattr(s, section).model_dump(mode="json") for s in (settings, other))
        names += [
            f"{section}.{key} {theirs.get(key)}, here {ours.get(key)}"
            for key in sorted({*ours, *theirs} - {"dir", "from"})
            if ours.get(key) != theirs.get(key)
        ]
    if not names and found.get("split") != split:
        names.append("other images, or another split")
    return "; ".join(names) or "by another version of evonas"
