import json
import random

import numpy as np
import torch

from evonas.seeding import Seeds, numpy_state, python_state, restore_python


def test_a_name_and_an_index_give_the_same_stream_every_time() -> None:
    seeds = Seeds(3)
    assert seeds.numpy("a", 1).random() == Seeds(3).numpy("a", 1).random()
    assert seeds.python("a").random() == Seeds(3).python("a").random()
    assert torch.equal(torch.rand(4, generator=seeds.torch("a")), torch.rand(4, generator=Seeds(3).torch("a")))


def test_names_indices_and_seeds_give_different_streams() -> None:
    draws = {Seeds(seed).numpy(name, index).random() for seed in (0, 1) for name in ("a", "b") for index in (0, 1)}
    assert len(draws) == 8
    assert len({Seeds(seed).number("x", i) for seed in range(5) for i in range(5)}) == 25


def test_states_are_plain_data_and_bring_the_stream_back() -> None:
    generator, python = np.random.default_rng(0), random.Random(0)
    generator.random(3)
    python.random()
    states = json.loads(json.dumps([numpy_state(generator), python_state(python)]))
    expected = generator.random(), python.random()
    other, other_python = np.random.default_rng(9), random.Random(9)
    other.bit_generator.state = states[0]
    restore_python(other_python, states[1])
    assert (other.random(), other_python.random()) == expected
