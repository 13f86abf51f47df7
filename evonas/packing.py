"""Nested plain data with tensors, packed so that a checkpoint of many small tensors is written fast.

torch.save calls back into Python for every object and every tensor, which for a supernet of hundreds of small ones is
several percent of a short epoch. Packed, a checkpoint holds one flat tensor a dtype, and one JSON text that refers to
parts of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

TENSOR = "__tensor__"  # stands for [dtype, first element, shape]
PLAIN = (int, float, str, bool, type(None))
PAIRS = "__pairs__"  # stands for a mapping whose keys are not all text, which JSON has not


def pack(data: Any) -> dict[str, Any]:
    """Plain data and flat tensors on the CPU, contiguous whatever the layout was; tuples become lists."""
    found: dict[torch.dtype, list[Tensor]] = {}
    ends: dict[torch.dtype, int] = {}

    def walk(node: Any) -> Any:
        if isinstance(node, Tensor):
            dtype, start = node.dtype, ends.get(node.dtype, 0)
            found.setdefault(dtype, []).append(node)
            ends[dtype] = start + node.numel()
            return {TENSOR: [str(dtype), start, list(node.shape)]}
        if isinstance(node, dict):  # state_dict gives an OrderedDict, all else plain ones
            if all(isinstance(key, str) for key in node):
                return {key: walk(value) for key, value in node.items()}
            return {PAIRS: [[key, walk(value)] for key, value in node.items()]}
        if isinstance(node, list | tuple):
            return [value if type(value) in PLAIN else walk(value) for value in node]
        return node

    tree = walk(data)
    with torch.no_grad():
        flat = {str(dtype): torch.cat([part.reshape(-1).cpu() for part in parts]) for dtype, parts in found.items()}
    return {"tree": json.dumps(tree), "flat": flat}


def unpack(packed: Mapping[str, Any]) -> Any:
    """What `pack` was given, each tensor in memory of its own.

    Raises KeyError, ValueError or RuntimeError for damaged data.
    """
    flat = packed["flat"]

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            if TENSOR in node:
                kind, start, shape = node[TENSOR]
                return flat[kind][start : start + math.prod(shape)].reshape(shape).clone()
            if PAIRS in node:
                return {key: walk(value) for key, value in node[PAIRS]}
            return {key: walk(value) for key, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, list) else node

    return walk(json.loads(packed["tree"]))
