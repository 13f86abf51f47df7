"""The command line. torch is imported only by the commands that compute."""

from __future__ import annotations

import gc
import importlib.util
import json
import logging
import signal
import sys
import time
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from evonas import __version__
from evonas.config import SPACE_SETTINGS, Settings, entry_points_of, parse_yaml, read_yaml
from evonas.datasets import DATASETS
from evonas.ending import Terminated, resumable, terminate
from evonas.environment import is_first
from evonas.errors import ConfigError, EvonasError, printable
from evonas.options import (
    Assign,
    Channels,
    Classes,
    Config,
    DataDir,
    Dataset,
    Device,
    EngineName,
    ImageSize,
    MaxSeconds,
    OutRun,
    Quiet,
    RayAddress,
    Run,
    Seed,
    SpaceName,
    TableFile,
    algorithm_names,
    default_out,
    put,
    settings_data,
    shipped_file,
    shipped_names,
    space_names,
)
from evonas.slices import Slice

STARTED = time.perf_counter()
UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer does not export it, and has two homes for it

# Below the pages of help; a line of \b alone keeps the lines of a paragraph.
START = """\b
evonas run ga               search on handwritten digits, in minutes
evonas show runs/ga-digits-0
evonas COMMAND --help       what a command takes

Exit codes: 0 done, 2 a mistake in what was given, 75 more to do (--max-seconds), 130 Ctrl-C, 143 SIGTERM, 1 a defect of
evonas."""
RUNS = """\b
evonas run ga --dataset imagefolder --config imagefolder-small --data-dir DIR
evonas run nsga2 --set problem.objectives=[loss,params] --set problem.limits.flops=1e6
evonas run ga --table nb-macro --seed 1
evonas run --config RUN/config.yaml --out COPY

Settings come from --config, else from the shipped file of --dataset, else of digits; then the options, then --set.
`evonas settings NAME` and `evonas spaces` say which keys there are. A stopped run goes on by `evonas resume RUN`."""
RETRAININGS = """\b
evonas retrain pc-darts --dataset cifar10
evonas retrain RUN --top 3 --set retrain.seeds=3
evonas retrain '[0, 1, 2, 0, 0, 0]'"""
TIMES = """\b
evonas latency --config cifar10 --out board.csv                          on the device
evonas run nsga2 --dataset cifar10 --set problem.objectives=[error,latency_ms] --set problem.latency_file=board.csv"""
ABLATIONS = """\b
evonas ablate --table nb-macro --seeds 20 --set search.evaluations=100
evonas ablate --config ablation-digits --seeds 4 --supernets 2 --arms no-finetune,uniform"""

app = typer.Typer(
    epilog=START,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def evonas_command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Architecture search by evolution over a supernet that is fine-tuned along the search."""
    if version:
        typer.echo(f"evonas {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


class _OnStderr(logging.Handler):
    """Prints what the library tells."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line, whatever the message holds."""
        sys.stderr.write(printable(record.getMessage()) + "\n")
        sys.stderr.flush()


@app.command("run", epilog=RUNS)
def run_command(
    algorithm: Annotated[
        str | None,
        typer.Argument(
            metavar="[ALGORITHM]",
            help="ga, nsga2, nsga3, sms-emoa, random, aging, or FILE.py:NAME of your own.",
            autocompletion=algorithm_names,
        ),
    ] = None,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    space: SpaceName = None,
    table: TableFile = None,
    config: Config = None,
    assign: Assign = None,
    init: Annotated[
        str | None, typer.Option(metavar="FILE", help="Begin with these genotypes: a CSV file, or the front of a RUN.")
    ] = None,
    seed: Seed = None,
    device: Device = None,
    out: OutRun = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    max_seconds: MaxSeconds = None,
    quiet: Quiet = False,
) -> None:
    """Search, then train the network found. Without options: a small search on handwritten digits, in minutes."""
    more = [("search.algorithm", algorithm), ("search.init", init), ("seed", seed), ("device", device)]
    data = settings_data(config, dataset, data_dir, space, table, more, assign)
    require_own_packages()

    from evonas.plan import check

    settings = check(data)
    if settings.audit.table is not None:
        from evonas import reports

        reports.truth(settings)  # a table that cannot be used is a mistake to learn of before the training
    on = settings.dataset.name if settings.table.file is None else Path(settings.table.file).stem
    folder = out or default_out(settings.search.algorithm, on, settings.seed)
    _carry_out(folder, settings, max_seconds, quiet, engine, ray_address, new=True)


@app.command("retrain", epilog=RETRAININGS, short_help="Train given networks from scratch.")
def retrain_command(
    what: Annotated[
        str,
        typer.Argument(metavar="WHAT", help="A finished RUN, a published network (darts-v2, ...), or a list of genes."),
    ],
    top: Annotated[int, typer.Option(min=1, metavar="K", help="Of a RUN: so many networks.")] = 1,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    space: SpaceName = None,
    config: Config = None,
    assign: Assign = None,
    seed: Seed = None,
    device: Device = None,
    out: OutRun = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    max_seconds: MaxSeconds = None,
    quiet: Quiet = False,
) -> None:
    """Train networks from scratch without a search, into a run folder of their own. A RUN brings its settings along."""
    from evonas.chosen import found_by, space_of

    run = Path(what)
    chosen: list[Any]
    if run.is_dir():
        chosen = [list(genotype) for genotype in found_by(run, top)]
        config = config or str(run / "config.yaml")
    elif what.lstrip().startswith("["):
        chosen = [parse_yaml(what, "the list of genes")]
    else:
        chosen, space = [what], space or space_of(what)
    more = [("seed", seed), ("device", device)]
    data = settings_data(config, dataset, data_dir, space, None, more, assign)
    for key, value in (("retrain.genotypes", chosen), ("retrain.enabled", True), ("supernet.from", None)):
        put(data, key, value)
    put(data, "search.init", None)
    for key in ("retrain.threads", "retrain.jobs"):  # a RUN's own suited another number of networks
        if not any(part.startswith(f"{key}=") for part in assign or ()):
            put(data, key, None)
    require_own_packages()

    from evonas.plan import check

    settings = check(data)
    folder = out or default_out("retrain", settings.dataset.name, settings.seed)
    _carry_out(folder, settings, max_seconds, quiet, engine, ray_address, new=True)


@app.command("resume")
def resume_command(
    run: Run,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    max_seconds: MaxSeconds = None,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was stopped, to the same end."""
    from evonas.run import read_result, require_run

    require_run(run)
    if read_result(run) is not None:
        typer.echo(f"{run} is finished; `evonas show {run}` shows it")
        return
    require_own_packages()

    from evonas.config import build

    _carry_out(run, build(read_yaml(run / "config.yaml")), max_seconds, quiet, engine, ray_address, new=False)


@app.command("show", short_help="Show generations, result and network in text.")
def show_command(run: Run, quiet: Quiet = False) -> None:
    """Show a run: its generations, its result, and the best network drawn in text."""
    from rich.console import Console

    from evonas.show import show

    show(run, Console(no_color=quiet))


@app.command("export", short_help="Write the network found for use elsewhere.")
def export_command(
    run: Run,
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="safetensors|onnx|torch-export",
            help="What to write.",
            autocompletion=lambda: ["safetensors", "onnx", "torch-export"],
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="New file; default: RUN/export/model.*, replaced.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the network of a finished run for use elsewhere, with labels and normalisation in it, and a model card."""
    require_own_packages()
    from evonas.export import export

    file, card = export(run, kind, out)
    typer.echo(f"{file} ({file.stat().st_size:,} bytes), described in {card}")


@app.command("predict", short_help="Class and probability of images.")
def predict_command(
    run: Run,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files, of any size.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all probabilities.")] = False,
    quiet: Quiet = False,
) -> None:
    """Class and probability of images, by the network of a finished run."""
    require_own_packages()
    from analysis.table_formats import plain
    from evonas.predict import predict

    for found in predict(run, images):
        about = {"image": str(found.file), "class": found.best, "probabilities": found.probabilities}
        line = f"{found.file}  {plain(found.best)}  {found.probabilities[found.best]:.1%}"
        typer.echo(json.dumps(about) if as_json else line)


@app.command("correlate", short_help="Rank correlation of a supernet with a table of truth.")
def correlate_command(
    run: Run,
    table: Annotated[
        str | None, typer.Option(metavar="FILE", help="Table of the truth; default: the run's own.")
    ] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Such as table.genotype=ops.")
    ] = None,
    genotypes: Annotated[int | None, typer.Option(metavar="N", help="Networks to score; default: audit's.")] = None,
    trainings: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Columns of repeated trainings, for the noise ceiling.")
    ] = None,
    scores: Annotated[
        str | None, typer.Option(metavar="FILE:A,B", help="Columns of other scorers, to be ranked beside it.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Rank correlation of a run's supernet with a table of trained networks: RUN/audit.csv, correlation.csv, plots/."""
    require_own_packages()
    from evonas import reports
    from evonas.progress import reporter

    settings = reports.settings_of(run, assign or [])
    against = reports.truth(settings, table, trainings.split(",") if trainings else ())
    beside = None if scores is None else reports.others(against, scores)
    if genotypes is not None or not (run / "audit.csv").is_file():
        from evonas.experiment import score_states

        changes = {"table": against.table.name, "genotypes": genotypes or settings.audit.genotypes}
        score_states(run, settings.audit.model_copy(update=changes), reporter(quiet), against.of)
    _print_correlation(run, reports.correlate(run, against, beside))


@app.command("ablate", epilog=ABLATIONS, short_help="Change one decision at a time, in paired seeds.")
def ablate_command(
    dataset: Dataset = None,
    data_dir: DataDir = None,
    space: SpaceName = None,
    table: TableFile = None,
    config: Config = None,
    assign: Assign = None,
    arms: Annotated[str | None, typer.Option(metavar="A,B,...", help="Arms beside `full`; default: all.")] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Paired seeds.")] = 20,
    supernets: Annotated[int, typer.Option(min=1, metavar="N", help="Warmed-up supernets they are spread over.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Runs side by side, one thread each.")] = 1,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the grid; goes on where it stopped.")] = Path(
        "runs/ablation"
    ),
    quiet: Quiet = False,
) -> None:
    """Run one search with one decision changed at a time, in paired seeds, and write the table of what that did."""
    data = settings_data(config, dataset, data_dir, space, table, [], assign)
    require_own_packages()
    from evonas import ablate, reports
    from evonas.engines.engine import engine as named_engine
    from evonas.plan import check
    from evonas.progress import reporter

    settings = check(data)
    named = settings.table.file or settings.audit.table
    against = None if named is None else reports.truth(settings)
    with named_engine(engine, ray_address) as where, resumable(out):
        grid = ablate.run_grid(
            settings,
            out,
            arms=arms.split(",") if arms else None,
            seeds=seeds,
            supernets=supernets,
            jobs=jobs,
            reporter=reporter(quiet),
            engine=where,
        )
        tables = reports.ablation(out, grid, against)
    _print_ablation(out, tables)


Runs = Annotated[list[Path] | None, typer.Argument(metavar="RUN", help="Runs to put beside; seeds of one go together.")]
Peers = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="CSV like analysis/peers.csv: replaces rows of its keys, adds the others."),
]


@app.command("tables", short_help="Compare runs with published methods.")
def tables_command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the tables.")],
    runs: Runs = None,
    peers: Peers = None,
    quiet: Quiet = False,
) -> None:
    """Compare runs with published methods: cifar10, cifar100 and summary as CSV, Markdown, LaTeX and HTML."""
    require_own_packages()
    from analysis.peers import load_peers
    from analysis.runs import read_runs
    from analysis.table_files import write_tables
    from analysis.tables import left_out

    groups = read_runs(runs or [])
    write_tables(out, groups, load_peers(peers))
    for line in left_out(groups):
        typer.echo(printable(f"left out: {line}"))
    typer.echo(f"all of it is in {out}: cifar10, cifar100 and summary, each as .csv, .md, .tex and .html")


@app.command("plots", short_help="Plot published methods and runs.")
def plots_command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the plots.")],
    runs: Runs = None,
    peers: Peers = None,
    quiet: Quiet = False,
) -> None:
    """Plot published methods and runs, as SVG and PNG: error against cost and size, and each run's way and network."""
    require_own_packages()
    from analysis.figures import save_all
    from analysis.peers import load_peers
    from analysis.plots import plots
    from analysis.runs import read_runs

    figures, missing = plots(read_runs(runs or []), load_peers(peers))
    save_all(figures, out)
    for line in missing:
        typer.echo(printable(line), err=True)
    typer.echo(f"{len(figures)} plots are in {out}, each as .svg and .png")


@app.command("report", short_help="Show a run as one HTML page.")
def report_command(
    run: Run,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page, a file that ends in .html; default: RUN/report.html.")
    ] = None,
    peers: Peers = None,
    quiet: Quiet = False,
) -> None:
    """Show a run as one HTML page that opens offline: result, charts, network, published methods, how to repeat it.

    RUN may be unfinished or damaged: the page says what is missing. Needs the extra: pip install 'evonas[report]'.
    """
    require_own_packages()
    from analysis.peers import load_peers
    from analysis.report import write_report
    from analysis.runs import read_run

    found = read_run(run)
    typer.echo(f"the report is {write_report(found, out, load_peers(peers))}; open it in a browser")


@app.command("datasets")
def datasets_command(quiet: Quiet = False) -> None:
    """List the data sets."""
    for name, spec in DATASETS.items():
        typer.echo(f"{name:<15} {spec.title}")


@app.command("settings", short_help="List the shipped settings files, or print one.")
def settings_command(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Of a shipped file; default: list them.", autocompletion=shipped_names),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """List the shipped settings files, or print one, with a comment to each key, to change and give to --config."""
    if name is not None:
        typer.echo(shipped_file(name, "").read_text(encoding="utf-8"), nl=False)
        return
    for known in shipped_names():
        lines = takewhile(
            lambda line: line.startswith("# "), shipped_file(known, "").read_text(encoding="utf-8").splitlines()
        )
        sentence, _, _ = " ".join(line.removeprefix("# ") for line in lines).partition(". ")
        typer.echo(f"{known:<24} {sentence.removesuffix('.')}")


@app.command("spaces", short_help="List the search spaces and their settings.")
def spaces_command(quiet: Quiet = False) -> None:
    """List the search spaces, with their default size and settings."""
    from evonas.spaces import SPACES, build_space

    for name, settings_type in SPACE_SETTINGS.items():
        settings = settings_type()  # type: ignore[call-arg]
        built = build_space(settings)
        summary = (SPACES[name].__doc__ or "").splitlines()[0]
        typer.echo(f"{name}: {summary} {built.n_genes} genes, {built.size:,} genotypes by default.")
        for key, field in settings_type.model_fields.items():
            if key != "name":
                typer.echo(f"  space.{key} = {getattr(settings, key)}: {field.description}")

    for name in entry_points_of("evonas.spaces"):
        typer.echo(f"{name}: of an installed package; `evonas check-space {name}` tells whether it keeps the laws.")


@app.command("latency", epilog=TIMES, short_help="Take times on a device that a search elsewhere is for.")
def latency_command(
    out: Annotated[Path, typer.Option(metavar="FILE", help="New CSV file of the times.")],
    channels: Channels = 3,
    image_size: ImageSize = 32,
    classes: Classes = 10,
    space: SpaceName = None,
    config: Config = None,
    assign: Assign = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Time the parts of all networks of a space on this device, for a search elsewhere with problem.latency_file.

    Give the numbers of the images that the search has. Space, threads, precision, layout and problem.latency_batch are
    those of the settings.
    """
    data = settings_data(config, None, None, space, None, [("device", device)], assign)
    require_own_packages()
    from evonas.device_times import write_times
    from evonas.plan import check
    from evonas.timing import times_here

    if out.exists():
        raise ConfigError(f"{out} exists; choose another --out")
    times = times_here(check(data), (channels, image_size, image_size), classes)
    write_times(out, times)
    typer.echo(f"{len(times.milliseconds)} times on {times.device}, batches of {times.batch}, are in {out}")


@app.command("trust", short_help="Let runs on this machine run a file of code.")
def trust_command(
    code: Annotated[str, typer.Argument(metavar="FILE.py:NAME", help="Code that a run's config.yaml names.")],
    quiet: Quiet = False,
) -> None:
    """Let runs on this machine run a file with a space, an objective or an algorithm, as it is now."""
    from evonas.config import OWN_CODE
    from evonas.own_code import trust

    if OWN_CODE.fullmatch(code) is None:
        raise ConfigError(f"{code!r} names no code; expected FILE.py:NAME")
    typer.echo(f"{trust(code)} is run from now on where settings name it")


@app.command("check-space", short_help="Check a space against the laws of spaces.")
def check_space_command(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE", help="FILE.py:Class, or a name of `evonas spaces`.", autocompletion=space_names
        ),
    ],
    channels: Channels = 3,
    image_size: ImageSize = 32,
    classes: Classes = 10,
    quiet: Quiet = False,
) -> None:
    """Check a space against the laws that every space keeps: operators, supernet, subnet and costs fit together.

    Give the numbers of your own images. The file is run, and may be run from now on, as by `evonas trust`.
    """
    from evonas.config import build
    from evonas.laws import LAWS, broken_laws
    from evonas.own_code import trust
    from evonas.spaces import build_space

    built = build_space(build({"space": {"name": trust(space)}}).space)
    broken = tried = 0
    for law, reason in broken_laws(built, (channels, image_size, image_size), classes):
        broken, tried = broken + (reason is not None), tried + 1
        typer.echo(f"ok      {law}" if reason is None else f"BROKEN  {law}: {reason}")
    if tried < len(LAWS):
        typer.echo(f"        {len(LAWS) - tried} more were not tried")
    if broken:
        raise ConfigError(f"{space} breaks {broken} of the laws of spaces")
    typer.echo(f"{space} can be searched: {built.n_genes} genes, {built.size:,} genotypes")


def require_own_packages() -> None:
    """Raise ConfigError where a stranger's `problems` or `analysis` would be imported in place of ours."""
    ours = Path(__file__).resolve().parent.parent
    for name in ("problems", "analysis"):
        spec = importlib.util.find_spec(name)
        found = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if found is None or found.parent.parent != ours:
            raise ConfigError(
                f"the package {name!r} of evonas is hidden by {found or 'a folder of that name'}; start evonas from "
                "another folder, or rename that one"
            )


def _carry_out(
    folder: Path,
    settings: Settings,
    max_seconds: float | None,
    quiet: bool,
    engine: str,
    ray_address: str | None,
    *,
    new: bool,
) -> None:
    """Begin a run in `folder`, or go on with the one there, and show its result.

    Of the processes that torchrun starts the first one does that; the others share its training steps.
    """
    if not is_first():
        if settings.table.file is None:
            from evonas.engines.ranks import follow

            follow()
        return
    from evonas.engines.engine import engine as named_engine
    from evonas.progress import reporter
    from evonas.runners import runner
    from evonas.stopwatch import Stopwatch

    share = Slice(max_seconds, STARTED)
    module, rest = runner(settings), (reporter(quiet), Stopwatch(STARTED), share)
    with named_engine(engine, ray_address) as where, resumable(folder, share):
        result = module.start(settings, folder, *rest, where) if new else module.resume(folder, *rest, where)
    _finish(folder, settings, result)


def _finish(folder: Path, settings: Settings, result: dict[str, Any]) -> None:
    """Rank correlation where the run was audited, plots where it has a front, and the summary."""
    if (folder / "audit.csv").is_file():
        from evonas import reports

        _print_correlation(folder, reports.correlate(folder, reports.truth(settings)))
    if result["front"]:
        from evonas import reports

        reports.fronts(folder)
    _print_summary(folder, result)


def _print_correlation(folder: Path, found: list[dict[str, Any]]) -> None:
    from rich.console import Console

    from evonas.show import correlation_tables

    Console().print(*correlation_tables(found), sep="\n")
    typer.echo(f"all of it is in {folder / 'correlation.csv'}, the plots in {folder / 'plots'}")


def _print_ablation(folder: Path, tables: dict[str, Any]) -> None:
    for metric in tables:
        typer.echo((folder / metric / "ablation.md").read_text(encoding="utf-8"))
    typer.echo(f"all of it is in {folder}: runs.csv, and a folder for each of {', '.join(tables) or 'no metric'}")


def _print_summary(folder: Path, result: dict[str, Any]) -> None:
    from rich.console import Console

    from evonas.show import summary

    Console().print(summary(folder, result))


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point: exit codes 0 done, 2 the user's mistake, 75 more to do, 130 Ctrl-C, 143 SIGTERM, 1 our defect."""
    before = signal.signal(signal.SIGTERM, terminate)
    logger, printing = logging.getLogger("evonas"), _OnStderr()
    level = logger.level
    logger.addHandler(printing)
    logger.setLevel(logging.INFO)
    try:
        code = app(arguments, standalone_mode=False, prog_name="evonas")
    except EvonasError as error:
        _fail(str(error))
    except UsageError as error:
        _fail(error.format_message())  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Terminated:
        sys.exit(143)
    except OSError as error:
        if error.strerror is None:
            raise
        place = error.filename or "the disk"
        _fail(f"cannot read or write {place}: {error.strerror}; make that possible, or name another place")
    finally:
        signal.signal(signal.SIGTERM, before)
        gc.freeze()  # else the interpreter's last collections walk through all of torch, for a second or two
        logger.removeHandler(printing)
        logger.setLevel(level)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> NoReturn:
    """One line on standard error, whatever the message held."""
    typer.echo(printable(f"evonas: {message}"), err=True)
    sys.exit(2)
