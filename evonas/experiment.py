"""One run from settings to result: warm-up, search, final choice, retraining.

Everything that a later step depends on is in the run folder's last checkpoint, so that `Experiment.execute` goes on
from wherever an earlier process was killed, to the same end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from evonas.arithmetic import Arithmetic, default_precision, is_out_of_memory, set_up
from evonas.audit import Audit
from evonas.chosen import genotypes
from evonas.complexity import Complexity
from evonas.config import MOST, AuditSettings, Settings
from evonas.data import ImageData, load
from evonas.device_times import DeviceTimes, read_times
from evonas.engines.bench import Bench, bench
from evonas.engines.crew import Crew, Here
from evonas.engines.engine import Engine, LocalEngine
from evonas.engines.measuring import SpreadMeasurer
from evonas.engines.ranks import LeadingTrainer, begin
from evonas.environment import device_name, processes
from evonas.errors import ConfigError, DeviceError, Paused, RunError, TrainingError
from evonas.finalists import Finalists, Surroundings
from evonas.forecast import Forecaster
from evonas.history import (
    Row,
    figures_of,
    front_rows,
    generation_row,
    measurement_rows,
    model_rows,
    read_generations,
)
from evonas.latency import Latency
from evonas.laws import require_fitting
from evonas.logs import Noted, opened, require_packages
from evonas.networks import Supernet, build_supernet, initialised
from evonas.objectives import build_objectives
from evonas.plan import absolute, algorithm, check, complete, one_objective_of_several, side_by_side, trainings, unfair
from evonas.progress import Reporter, duration
from evonas.result import common, front_result, named
from evonas.run import RunFolder, read_result, require_free, state_files, trusted
from evonas.search.additive import by_model, predicted
from evonas.search.base import Candidate, random_networks
from evonas.search.final import by_stored_fitness, candidates
from evonas.search.fitness import Measurement, knee, pareto_front, ranked, spread
from evonas.search.loop import evaluate, search
from evonas.seeding import Seeds
from evonas.slices import Interrupted, Slice
from evonas.spaces import ChainSpace, Genotype, Space, build_space
from evonas.stopwatch import Stopwatch, Timed
from evonas.supernet.measuring import Measurer
from evonas.supernet.training import SupernetTrainer
from evonas.table import as_truth, read
from evonas.warmed import WarmedUp, load_warmed_up, metadata
from problems.fronts import measured_hypervolume
from problems.supernet import SupernetProblem


def effective(settings: Settings) -> Settings:
    """The settings with everything that is chosen at start filled in.

    Raises ConfigError for the search of a table, which trains nothing, DeviceError for a device not there.
    """
    if settings.table.file is not None:
        raise ConfigError(f"table.file is {settings.table.file!r}; evonas.table_search searches tables")
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device is cuda, and torch sees no CUDA device here; use --device cpu or --device auto")
    device = "cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu"
    table = settings.audit.table
    if table is not None and Path(table).is_file():
        table = str(Path(table).absolute())
    supernet = {"source": absolute(settings.supernet.source)}
    dataset = {"dir": absolute(settings.dataset.dir)}
    threads = settings.threads or torch.get_num_threads()
    completed = complete(settings).model_copy(update={"device": device})
    return completed.model_copy(
        update={
            "threads": threads,
            "processes": _processes(settings),
            "retrain": side_by_side(completed, threads),
            "memory_format": settings.memory_format or "channels_last",
            "precision": settings.precision or default_precision(device),
            "dataset": settings.dataset.model_copy(update=dataset),
            "supernet": settings.supernet.model_copy(update=supernet),
            "audit": settings.audit.model_copy(update={"table": table}),
        }
    )


def start(
    settings: Settings,
    out: Path,
    reporter: Reporter,
    stopwatch: Stopwatch | None = None,
    share: Slice | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Run the settings from the beginning into the new folder `out`; returns what result.json holds.

    The method, and what of it the paper of Yuan, Xue and Zhang (GECCO 2023) states, is in docs/method.md. stopwatch:
    counts the seconds of each phase; None: from now on. share: how much of it this process does; None: all. engine:
    where it computes; None: on this machine.

    Raises, with nothing written, ConfigError for settings, DataError for a data set, DeviceError for a device,
    TableError for the table of an audit, RunError for a folder, warmed-up supernet or first population that cannot be
    used. Later, with all kept that `resume` needs, TrainingError for training that runs away or leaves no network that
    can be measured, RunError where the folder cannot be written, ConfigError where code of the user's own fails; Paused
    where there is more to do.
    """
    settings = effective(check(settings.model_dump(mode="json")))
    require_packages(settings.log)
    require_free(out)
    # Reads the data before anything is written.
    experiment = Experiment(settings, reporter, stopwatch or Stopwatch(), engine=engine)
    if isinstance(experiment.space, ChainSpace):
        require_fitting(experiment.space, experiment.data.shape, len(experiment.data.classes))
    with RunFolder.create(out, settings) as folder:
        reporter.line(f"run folder: {out}")
        return experiment.execute(folder, share)


def resume(
    path: Path,
    reporter: Reporter,
    stopwatch: Stopwatch | None = None,
    share: Slice | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Go on with an unfinished run from its last checkpoint; returns what result.json holds.

    stopwatch: as for `start`. share: how much of it this process does; None: all that is left. engine: where it
    computes, which need not be where it began; None: on this machine.

    Raises RunError for a folder that is no run, is in use, is damaged or cannot be written; ConfigError, DataError,
    DeviceError and TableError where settings, data, device or the table of an audit cannot be used any more;
    TrainingError as `start` does; Paused where there is more to do.
    """
    with RunFolder.open(path) as folder:
        settings = effective(_as_begun(check(folder.settings().model_dump(mode="json"))))
        require_packages(settings.log)
        own = path if settings.supernet.source is not None and state_files(path) else None
        with trusted(path / "latency.csv"):
            rows = folder.read_table("latency.csv")
            timed = DeviceTimes.of(rows) if rows else None
        experiment = Experiment(settings, reporter, stopwatch or Stopwatch(), own, timed, engine)
        return experiment.execute(folder, share)


def score_states(
    path: Path,
    audit: AuditSettings,
    reporter: Reporter,
    known: Callable[[Sequence[Genotype]], object] = lambda genotypes: None,
) -> None:
    """Write RUN/audit.csv of a finished run: the audited networks on every supernet state that it kept.

    known: is given the networks before anything is scored or written, and raises where their truth is not known.
    """
    with RunFolder.open(path) as folder:
        settings = check(folder.settings().model_dump(mode="json"))
        if settings.table.file is not None:
            raise RunError(f"{path} searched a table and has no supernet whose ranking could be held against one")
        if settings.audit.table is not None and read_result(path) is None:
            raise RunError(f"{path} is audited and not finished; go on with it first (`evonas resume {path}`)")
        settings = effective(settings).model_copy(update={"audit": audit})
        files = state_files(path)
        if not files:
            raise RunError(f"{path} holds no supernet states; let its warm-up end first (`evonas resume {path}`)")
        experiment = Experiment(settings, reporter, Stopwatch(), warmed_up=path)
        assert experiment.audit is not None
        known(experiment.audit.genotypes)
        rows: list[Row] = []
        with reporter.task("states", len(files)) as task:
            for state, file in files.items():
                with trusted(file):
                    experiment.supernet.load_state_dict(load_file(file))
                rows += experiment.audit.rows(state, [], [])
                task.advance()
        folder.write_table("audit.csv", rows)


def _processes(settings: Settings) -> int:
    """How many processes share the steps. Raises ConfigError where there are others than the settings have."""
    there = processes()
    recorded = settings.processes or there
    if there not in (1, recorded):
        raise ConfigError(
            f"torchrun started {there} processes, and the settings have processes {recorded}, on which batch norms "
            f"depend; start {recorded}, or one alone, which makes its steps in as many parts"
        )
    return recorded


def _as_begun(settings: Settings) -> Settings:
    """Recorded settings; what an older version had no setting for is as it was then."""
    if settings.retrain.threads is not None:
        return settings
    retrain = settings.retrain.model_copy(update={"threads": settings.threads, "jobs": 1})
    return settings.model_copy(update={"retrain": retrain})


def _truth(settings: Settings, space: Space) -> dict[Genotype, float] | None:
    """True accuracies by genotype, where networks of the true top are audited."""
    if settings.audit.table is None or not settings.audit.top:
        return None
    chosen = as_truth(settings.audit.table, settings.table)
    assert chosen.report is not None
    return read(chosen, space).truth(chosen.report)


def _require_some(measured: Iterable[Measurement]) -> list[Measurement]:
    """Those that could be measured and keep the limits. Raises TrainingError where there are none."""
    usable = [m for m in measured if m.feasible]
    if not usable:
        raise TrainingError(
            "no network could be measured, and incidents.csv says why of each; lower supernet.lr and finetune.lr, or "
            "make the networks or measure.batch_size smaller"
        )
    return usable


class Experiment:
    """The parts of one run, and its phases in order: warmup, search, retrain, done."""

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        stopwatch: Stopwatch,
        warmed_up: Path | None = None,
        timed: DeviceTimes | None = None,
        engine: Engine | None = None,
    ) -> None:
        """warmed_up: the run whose state 0 is taken. timed: latencies that are known already, as in latency.csv."""
        assert settings.threads is not None
        assert settings.memory_format is not None and settings.precision is not None
        assert settings.problem.objectives is not None and settings.search.generations is not None
        self.computing = set_up(settings.threads, settings.device, settings.allocator, settings.deterministic)
        self.settings = settings
        self.reporter = reporter
        self.stopwatch = stopwatch
        self.engine = engine or LocalEngine()
        self._workers: dict[int, Crew] = {}  # by the number of their threads
        self._bench: Bench | None = None  # of this process
        self.device = torch.device(settings.device)
        self.arithmetic = Arithmetic.named(settings.device, settings.memory_format, settings.precision)
        self.seeds = Seeds(settings.seed)
        self.space = build_space(settings.space)
        self.data: ImageData = load(settings.dataset, self.device, reporter)
        self.complexity = Complexity(self.space, self.data.shape, len(self.data.classes))
        supernet = self.supernet = self._fresh_supernet()
        self.ranks = begin(settings, self.data.digest) if processes() > 1 else None
        if self.ranks is not None:
            stopwatch.devices |= {"warmup": self.ranks.size, "finetune": self.ranks.size}
        trainer = SupernetTrainer if self.ranks is None else LeadingTrainer
        self.trainer = trainer(
            self.space,
            supernet,
            self.data,
            settings.supernet,
            settings.finetune,
            self.seeds,
            self.arithmetic,
            say=self._say,
            ranks=self.ranks,
            processes=settings.processes or 1,
        )
        measurer = Measurer(supernet, self.data, settings.measure, self.arithmetic)
        self._timed_on = device_name(str(self.device))
        self.latency = self._latency(timed) if settings.problem.timed else None
        self.problem = SupernetProblem(
            self.space,
            self.trainer,
            measurer,
            self.complexity,
            settings.problem.objectives,
            settings.search.generations,
            progress=self._step_made,
            limits=settings.problem.limits.given(),
            latency=self.latency,
            functions=build_objectives(settings.problem, self.space, self.data.shape, len(self.data.classes)),
        )
        self.audit = None
        if settings.audit.table is not None:
            self.audit = Audit(self.space, measurer, self.complexity, settings.audit, _truth(settings, self.space))
        source = warmed_up or settings.supernet.source
        self.warmed_up = None if source is None else load_warmed_up(Path(source), settings, self.data.digest)
        self.algorithm = algorithm(settings, self.space, self.problem, self.seeds)
        self.rounds = self.algorithm.rounds(settings.search)
        self.chosen = genotypes(self.space, settings.retrain.genotypes or ())
        self.phase = "warmup"
        self.epoch = 0
        self.generation = 0
        self.spent = 0
        self.generations: list[list[Measurement]] = []
        self.final: list[Measurement] = []
        self.finalists = Finalists(
            self.space,
            self.complexity,
            settings.retrain,
            self.seeds,
            say=self._say,
            others="network" if self.chosen else "front",
        )

    def _say(self, text: str) -> None:
        self.reporter.line(text)  # which is another one as soon as there are logs

    def _fresh_supernet(self) -> Supernet:
        try:
            with initialised(self.seeds.number("supernet.weights")):
                return self.arithmetic.placed(build_supernet(self.space, self.data.shape[0], len(self.data.classes)))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        raise ConfigError("there is no memory for the supernet; make space.width smaller, or the space shallower")

    def _latency(self, timed: DeviceTimes | None) -> Latency:
        """Times as they are known, else as the file of another device has them, else to be taken here.

        Raises ConfigError where that file has not all of them.
        """
        file = self.settings.problem.latency_file
        if timed is None and file is not None:
            timed = read_times(Path(file), self.settings.problem.latency_batch)
        if timed is not None:
            self._timed_on = timed.device
        made = Latency(
            self.space,
            self.data.shape,
            len(self.data.classes),
            self.arithmetic,
            source=self.settings.problem.latency,
            batch=self.settings.problem.latency_batch,
            known=None if timed is None else timed.milliseconds,
            only=file,
        )
        if file is not None:
            made.meet_all_parts()
        return made

    def _write_latency(self) -> None:
        """What was timed, so that a run that goes on goes on with the same figures."""
        if self.latency is not None and self.latency.known:
            times = DeviceTimes(self.latency.known, self.settings.problem.latency_batch, self._timed_on)
            self.run.write_table("latency.csv", times.rows())

    def execute(self, run: RunFolder, share: Slice | None = None) -> dict[str, Any]:
        """Do what is left to do in `run`, and return its result. Raises Paused at the end of `share`."""
        self.run = run
        self.share = share or Slice()
        state = run.latest(self.reporter.line)
        with opened(self.settings, run.path, self.stopwatch) as self.logs:
            self.reporter = Noted(self.reporter, self.logs)
            return self._execute(state)

    def _execute(self, state: dict[str, Any] | None) -> dict[str, Any]:
        if state is None:
            self._tell_forecast()
            for line in one_objective_of_several(self.settings):
                self.reporter.line(line)
        else:
            with trusted(f"the last checkpoint of {self.run.path}"):
                self._restore(state)
        self.reporter.line(f"computing on {self.computing}")  # not before: a mistake is one line, and nothing beside it
        self.share.begin()
        self.stopwatch.ready()
        try:
            self._do_phases()
        except Interrupted:
            self._checkpoint_in_between()
            raise Paused from None
        except (Paused, TrainingError):
            self._part()
            raise
        finally:
            self._dismiss()
        self._part()
        return self._finish()

    def _do_phases(self) -> None:
        if self.phase == "warmup" and self.chosen:
            self.phase = "retrain"
        if self.phase == "warmup":
            self._warm_up()
        if self.phase == "search":
            self._search()
        if self.phase == "retrain" and self.settings.retrain.enabled:
            self._retrain()

    def _part(self) -> None:
        """Let the processes go that share the steps. In the middle of a step they would not hear it."""
        if self.ranks is not None:
            self.ranks.tell(None)

    def _step_made(self, steps: int) -> None:
        """Where the run can end. Not where processes share the steps: the others would wait for the next one."""
        if self.ranks is None:
            self.share.step()

    def _tell_forecast(self) -> None:
        forecaster = Forecaster(self.settings, self.space, self.supernet, self.data, self.arithmetic)
        for line in forecaster.forecast(self.warmed_up is not None).lines(self.settings):
            self.reporter.line(line)

    # Checkpoints ------------------------------------------------------------------------------------------------

    def _offer_checkpoint(self) -> None:
        """Write one where it is worth its time."""
        if self.share.due:
            self._checkpoint()

    def _checkpoint(self) -> None:
        with self.stopwatch("io"):
            self.share.checkpoint(lambda: self._write_checkpoint(self._state()))

    def _checkpoint_in_between(self) -> None:
        """In the middle of a stretch: what training has done of it, and all else as it was at its beginning."""
        with self.stopwatch("io"):
            state = self.run.latest() if self.phase == "search" else None
            if self._bench is not None and (network := self._bench.under_way()) is not None:
                self.finalists.keep(*network)
            present = {"trainer": self.trainer.state_dict()}
            self._write_checkpoint(self._state() if state is None else {**state, **present})

    def _write_checkpoint(self, state: Mapping[str, Any]) -> None:
        self._write_latency()
        seconds, of_devices = self.stopwatch.seconds(), self.stopwatch.device_seconds()
        self.run.checkpoint({**state, "seconds": seconds, "device_seconds": of_devices})

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"phase": self.phase, "spent": self.spent}
        if self.phase == "retrain":
            state["final"] = [m.to_plain() for m in self.final]
            state["finalists"] = self.finalists.state_dict()
        else:
            state |= {"epoch": self.epoch, "generation": self.generation, "trainer": self.trainer.state_dict()}
            state |= {"problem": self.problem.state_dict(), "algorithm": self.algorithm.state_dict()}
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        self.stopwatch.restore(state["seconds"], state.get("device_seconds"))
        self.phase, self.spent = state["phase"], state["spent"]
        if self.phase == "retrain":
            self.final = [Measurement.from_plain(row) for row in state["final"]]
            self.finalists.load_state_dict(state["finalists"])
            return
        self.epoch, self.generation = state["epoch"], state["generation"]
        self.trainer.load_state_dict(state["trainer"])
        self.problem.load_state_dict(state["problem"])
        self.algorithm.load_state_dict(state["algorithm"])
        problem = self.problem
        self.generations = read_generations(
            self.run.read_table("history.csv"), problem.objectives, problem.limits, problem.protocol, self.generation
        )

    # Warm-up ----------------------------------------------------------------------------------------------------

    def _warm_up(self) -> None:
        if self.warmed_up is None:
            self._train_warm_up()
        else:
            with trusted(f"the supernet of {self.settings.supernet.source}"):
                self.supernet.load_state_dict(dict(self.warmed_up.weights))
        self.trainer.end_warm_up()
        self.phase = "search"
        with self.stopwatch("io"):
            self._save_state()
        self._checkpoint()

    def _train_warm_up(self) -> None:
        epochs, steps = self.settings.supernet.epochs, self.trainer.steps_per_epoch
        with self.reporter.task("warm-up steps", epochs * steps, self.trainer.steps_made(self.epoch)) as task:

            def progress(made: int) -> None:
                task.advance(made)
                self._step_made(made)

            while self.epoch < epochs:
                with self.stopwatch("warmup"):
                    loss = self.trainer.warm_up_epoch(self.epoch, progress)
                self.logs.figures("warmup", self.epoch, {"loss": loss, "lr": self.trainer.warm_up_rate(self.epoch)})
                self.epoch += 1
                task.advance(0, f"loss {loss:.3f}")
                if self.epoch < epochs:
                    self._offer_checkpoint()

    def _save_state(self) -> None:
        source = self.warmed_up
        if source is None:
            seconds = self.stopwatch.device_seconds()["warmup"]
            source = WarmedUp({}, seconds, self.settings.seed, device_name(str(self.device)))
        state = self.problem.state
        about = metadata(self.settings, self.data.digest, state, source)
        self.run.write_weights(f"supernet/state-{state}.safetensors", self.supernet.state_dict(), about)

    # Search -----------------------------------------------------------------------------------------------------

    def _search(self) -> None:
        if self.engine.measures:
            crew = self._crew(self.settings.threads, calls=MOST)
            self.problem.measurer = SpreadMeasurer(self.problem.measurer, crew)
            self.stopwatch.devices["measure"] = crew.size
        self._generations()

    def _crew(self, threads: int | None, calls: int, jobs: int = 1) -> Crew:
        """Workers of so many threads for so many calls at once, each with a bench: those at work, or new ones."""
        assert threads is not None
        if jobs == 1 and not self.engine.measures:
            held = self._bench = Bench(self.settings, self.data, self.arithmetic)
            held.progress = self._step_made
            return Here(lambda: held)
        if self._workers.get(threads) is None:
            self._dismiss()
            make = partial(bench, self.settings.model_dump(mode="json"), self.data.digest)
            device = self.settings.device
            self._workers[threads] = self.engine.crew(make, threads=threads, device=device, calls=calls, jobs=jobs)
        return self._workers[threads]

    def _dismiss(self) -> None:
        """Let all workers go."""
        while self._workers:
            self._workers.popitem()[1].close()

    def _generations(self) -> None:
        settings = self.settings.search
        last, repairs = self.stopwatch.seconds()["total"], self.algorithm.repairs

        with self.reporter.task("generations", self.rounds, self.generation) as task:

            def record(
                generation: int, population: Sequence[Candidate], measured: Sequence[Measurement], spent: int
            ) -> None:
                nonlocal last, repairs
                now = self.stopwatch.seconds()["total"]
                self.generations.append(list(measured))
                best = ranked(measured)[0]
                with self.stopwatch("io"):
                    origins = [candidate.origin for candidate in population]
                    rows = measurement_rows(self.space, generation, origins, measured, now - last)
                    self.run.append("history.csv", rows)
                    self._append_incidents(generation)
                    volume = measured_hypervolume(measured, self.problem.objective_bounds)
                    count = self.algorithm.repairs - repairs
                    row = generation_row(generation, measured, volume, count, now - last)
                    self.run.append("generations.csv", [row])
                self.logs.figures("search", generation, figures_of(row) | self.problem.tuned)
                self.logs.front(generation, self.generations, self.problem.objectives)
                if self.settings.audit.states == "all":
                    self._audit()
                self.generation, self.spent = generation + 1, spent
                last, repairs = now, self.algorithm.repairs
                self._checkpoint()
                task.advance(1, f"best loss {best.details['loss']:.3f}, error {best.details['error']:.2f} %")

            search(
                Timed(self.algorithm, self.stopwatch, ask="algorithm", tell="algorithm"),  # type: ignore[arg-type]
                Timed(self.problem, self.stopwatch, adapt="finetune", evaluate="measure"),
                generations=self.rounds,
                evaluations=settings.evaluations,
                record=record,
                first=self.generation,
                spent=self.spent,
            )
        self._choose()

    def _audit(self, last: bool = False) -> None:
        """Score the audited networks, once on each state."""
        *before, present = self.generations
        known = not last and bool(before) and before[-1][0].state == present[0].state
        if self.audit is None or known:
            return
        previous = [m.genotype for m in before[-1]] if before else []
        with self.stopwatch("audit"):
            rows = self.audit.rows(present[0].state, [m.genotype for m in present], previous)
        with self.stopwatch("io"):
            self.run.append("audit.csv", rows)

    def _append_incidents(self, generation: int) -> None:
        """What was out of the ordinary about the networks of a generation, to be read in incidents.csv."""
        incidents = self.problem.incidents()
        if not incidents:
            return
        where = {"generation": generation, "state": self.problem.state}
        rows: list[Row] = [{**where, "genotype": json.dumps(g), "what": what} for g, what in incidents.items()]
        self.run.append("incidents.csv", rows)
        self.reporter.line(f"generation {generation}, network {rows[0]['genotype']}: {rows[0]['what']}")
        if len(rows) > 1:
            self.reporter.line(f"and {len(rows) - 1} more of the generation in incidents.csv")

    def _choose(self) -> None:
        """Measure the final candidates again, all on the last state, and keep them best first."""
        limit = self.settings.final.candidates or self.settings.search.population
        assert limit is not None
        _require_some(chain.from_iterable(self.generations))
        genotypes = candidates(self.space, self.generations, limit)
        if self.settings.audit.states == "last":
            self._audit(last=True)
        with self.stopwatch("measure"):
            measured = ranked(evaluate(self.problem, genotypes))
        self.final = _require_some(measured)
        with self.stopwatch("io"):
            rows = measurement_rows(self.space, self.generation, ["final"] * len(measured), measured, 0.0)
            self.run.append("history.csv", rows)
            self._append_incidents(self.generation)
            front = pareto_front(self.final)
            self.run.write_table("pareto.csv", front_rows(rows, front, knee(front)))
            self._save_state()
        self.logs.front(self.generation, [*self.generations, self.final], self.problem.objectives)
        if not self.settings.final.remeasure:
            self.final = by_stored_fitness(self.space, self.generations, limit)
        elif self.settings.final.choice == "model":
            self.final = self._by_model()
        self.phase = "retrain"
        self._checkpoint()

    def _by_model(self) -> list[Measurement]:
        """The final candidates in the order of an additive model of all that is measured on the last state."""
        searched = [m for generation in self.generations for m in generation if m.state == self.problem.state]
        drawn = random_networks(self.space, self.settings.final.sample, self.seeds.numpy("final.sample"))
        with self.stopwatch("measure"):
            sampled = evaluate(self.problem, drawn) if drawn else []
        known = list({m.genotype: m for m in [*searched, *sampled, *self.final] if not m.failed}.values())
        with self.stopwatch("io"):
            predictions = predicted(self.space, known, [m.genotype for m in known])
            self.run.write_table("model.csv", model_rows(known, predictions, self.final))
        return by_model(self.space, self.final, known)

    # Retraining -------------------------------------------------------------------------------------------------

    def _retrain(self) -> None:
        ranking = self.chosen or [measurement.genotype for measurement in self.final]
        front = self.chosen or [m.genotype for m in spread(self._front(), self.settings.retrain.top)]
        settings = self.settings.retrain
        assert settings.jobs is not None
        crew = self._crew(settings.threads, max(trainings(self.settings)), settings.jobs)
        self.stopwatch.devices["retrain"] = crew.size if self.engine.measures else 1
        around = Surroundings(
            crew,
            self.reporter,
            self.stopwatch,
            tell=self.logs.figures,
            offer=self._offer_checkpoint,
            checkpoint=self._checkpoint,
            progress=self._step_made,
            save_best=self._save_best,
        )
        self.finalists.train(ranking, front, around)

    def _front(self) -> list[Measurement]:
        """The final front; empty where there is one objective, or no search."""
        return pareto_front(self.final) if self.final and len(self.problem.objectives) > 1 else []

    def _save_best(self, genotype: Genotype, weights: Mapping[str, Tensor]) -> None:
        self.run.write_weights("best/model.safetensors", weights, {"weights": "retrained"})
        self._describe_best(genotype, "retrained")

    def _describe_best(self, genotype: Genotype, weights: str | None) -> None:
        self.run.write_json(
            "best/architecture.json",
            {
                "space": self.settings.space.model_dump(mode="json"),
                "genotype": list(genotype),
                "architecture": self.space.describe(genotype),
                "dataset": self.data.name,
                "classes": list(self.data.classes),
                "image_shape": list(self.data.shape),
                "mean": list(self.data.mean),
                "std": list(self.data.std),
                "weights": weights,
            },
        )

    # Result -----------------------------------------------------------------------------------------------------

    def _finish(self) -> dict[str, Any]:
        seconds, of_devices = self.stopwatch.seconds(), self.stopwatch.device_seconds()
        best = self._best()
        measured = next((m for m in self.final if list(m.genotype) == best["genotype"]), None)
        device = str(self.device)
        result = {
            **common(self.settings, self.space.name, device, self.generation, self.spent, seconds),
            "split": self.data.digest,
            "images": {"weights": len(self.data.weights), "fitness": len(self.data.fitness), "test": self.data.tests},
            "search_gpu_days": self._search_seconds(of_devices) / 86400,
            "retrain_gpu_days": of_devices["retrain"] / 86400,
            "gpu_days": {phase: of_devices[phase] / 86400 for phase in ("warmup", "finetune", "measure", "retrain")},
            "finetune_rate": self.trainer.rate.share,
            "micro_batches": {"supernet": self.trainer.micro_batches.parts, "retrain": self.finalists.micro_batches},
            "best": {
                "genotype": best["genotype"],
                "architecture": self.space.describe(tuple(best["genotype"])),
                "supernet_error": None if measured is None else measured.details["error"],
                **{key: value for key, value in best.items() if key.startswith("test_error")},
                "params": best["params"],
                "flops": best["flops"],
                "objectives": {} if measured is None else named(self.problem.objectives, measured),
            },
            "choice": self.settings.final.choice,
            "front": self._front_result(),
            "networks": self.finalists.others if self.chosen else [],
            "references": self.finalists.references,
            "competitors": self.finalists.competitors,
            "unfair": unfair(self.settings),
            "warmed_up": self._source(),
        }
        self.run.write_json("result.json", result)
        self.logs.end(result)
        guess = self.data.guess
        if best["test_error"] is not None and best["test_error"] > guess - 100 / self.data.tests:
            self.reporter.line(
                f"the best network errs as often as naming the most frequent class would (about {guess:.1f} %): "
                "train for longer (supernet.epochs, retrain.epochs), or with more images"
            )
        self.reporter.line(f"done in {duration(seconds['total'])}")
        return result

    def _front_result(self) -> dict[str, Any] | None:
        front = self._front()
        volume = measured_hypervolume(front, self.problem.objective_bounds)
        return front_result(self.space, self.problem.objectives, front, volume, self.finalists.others)

    def _best(self) -> dict[str, Any]:
        """The network that is reported: the retrained one, or without retraining the first of the final measuring."""
        if self.settings.retrain.enabled:
            return self.finalists.best
        chosen = self.final[0].genotype
        self._describe_best(chosen, None)
        cost = self.complexity.of(chosen)
        return {"genotype": list(chosen), "test_error": None, "params": cost.params, "flops": cost.flops}

    def _search_seconds(self, seconds: Mapping[str, float]) -> float:
        """Seconds of the search on all devices, with those of the warm-up that another run has done for it."""
        own = sum(seconds[phase] for phase in ("warmup", "finetune", "measure", "algorithm"))
        return own + (self.warmed_up.seconds if self.warmed_up is not None else 0.0)

    def _source(self) -> dict[str, Any] | None:
        """Where the warmed-up supernet came from; None where this run warmed it up."""
        if self.warmed_up is None:
            return None
        return {
            "from": self.settings.supernet.source,
            "seed": self.warmed_up.seed,
            "seconds": self.warmed_up.seconds,
            "device": self.warmed_up.device,
        }
