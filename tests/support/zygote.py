"""A process that has imported everything and forks one child for each command line, so that hundreds can be killed.

It reads one JSON object a line: argv, log, and of an attack `phase`, `entry` (from 1), `delay` in seconds and `signal`.
The child sends itself that signal `delay` seconds after it has come into the phase for the entry-th time. For each
child one line is written: its exit status, negative for a signal, and the seconds from the signal to its end. An order
with `here` is carried out in this process, so that what torch compiles on the way is there for all later children.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch

import evonas.run
from evonas import cli, runners
from evonas.experiment import Experiment
from evonas.retrain import ScratchTraining
from evonas.run import RunFolder
from evonas.search.ga import GeneticAlgorithm
from evonas.search.nsga2 import Nsga2Search
from evonas.search.random import RandomSearch
from evonas.supernet.careful import CarefulMeasurer
from evonas.supernet.training import SupernetTrainer

PHASES: dict[str, list[tuple[Any, str]]] = {
    "start": [(cli, "_carry_out")],
    "warm-up": [(SupernetTrainer, "warm_up_epoch")],
    "fine-tuning": [(SupernetTrainer, "fine_tune")],
    "measuring": [(CarefulMeasurer, "measure")],
    "selection": [(kind, "tell") for kind in (GeneticAlgorithm, Nsga2Search, RandomSearch)],
    "writing": [(evonas.run, "write_synced"), (RunFolder, "append")],
    "final measuring": [(Experiment, "_choose")],
    "retraining": [(ScratchTraining, "train_epoch")],
}


def attack(order: dict[str, Any], sent: Path) -> None:
    """Hook the phase, so that its entry-th beginning starts the clock of the signal."""
    entries = 0

    def send() -> None:
        time.sleep(order["delay"])
        sent.write_text(repr(time.monotonic()))
        os.kill(os.getpid(), order["signal"])

    def hooked(original: Any) -> Any:
        def method(*arguments: Any, **more: Any) -> Any:
            nonlocal entries
            entries += 1
            if entries == order["entry"]:
                threading.Thread(target=send, daemon=True).start()
            return original(*arguments, **more)

        return method

    for owner, name in PHASES[order["phase"]]:
        setattr(owner, name, hooked(getattr(owner, name)))


def child(order: dict[str, Any], sent: Path) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a background process may have inherited that it is ignored
    cli.STARTED = time.perf_counter()
    if "phase" in order:
        attack(order, sent)
    code = 1
    try:
        cli.main(order["argv"])
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    assert runners
    torch.set_num_threads(1)
    for line in sys.stdin:
        order = json.loads(line)
        sent = Path(order["log"] + ".sent")
        sent.unlink(missing_ok=True)
        if order.get("here"):
            with Path(order["log"]).open("w") as log, redirect_stdout(log), redirect_stderr(log):
                try:
                    cli.main(order["argv"])
                except SystemExit as error:
                    code = int(error.code or 0)
            print(json.dumps([code, None]), flush=True)  # noqa: T201
            continue
        number = os.fork()
        if number == 0:
            child(order, sent)
        _, status = os.waitpid(number, 0)
        took = time.monotonic() - float(sent.read_text()) if sent.exists() and sent.read_text() else None
        print(json.dumps([os.waitstatus_to_exitcode(status), took]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
