"""Evaluations on the way to a front; the plots themselves are made by the command line's tests."""

import pandas as pd

from analysis.front_plots import spent


def test_a_network_is_paid_for_once_on_each_state_and_never_by_the_final_choice() -> None:
    history = pd.DataFrame(
        [
            (0, 0, "a", "initial"),
            (0, 0, "b", "initial"),
            (1, 0, "a", "parent"),
            (1, 0, "c", "child"),
            (2, 1, "a", "parent"),
            (2, 1, "c", "parent"),
            (3, 1, "a", "parent"),
            (3, 1, "d", "final"),
        ],
        columns=["generation", "state", "canonical", "origin"],
    )
    assert spent(history).tolist() == [2, 3, 5, 5]
