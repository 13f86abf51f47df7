"""Settings of a run: typed, frozen, complete. YAML files and `--set a.b=c` become one `Settings`, or one clear error.

Every problem is reported at once; an unknown key names the nearest known one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from evonas.errors import ConfigError, nearest
from evonas.files import SETTINGS_BYTES, read_text


def _whole(value: object) -> object:
    # 1e6 is a float to YAML; where a whole number is expected it means 1000000.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _sequence(value: object) -> object:
    # YAML has lists only; settings are frozen and hold tuples.
    return tuple(value) if isinstance(value, list) else value


Whole = Annotated[int, BeforeValidator(_whole)]
MOST = 10**6  # of anything that is counted out in a loop or in memory
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=MOST)]
Pixels = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=4096)]
Padding = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=4096)]
Width = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=4096)]
Head = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=16384)]
Depth = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=200)]
Natural = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Depths = Annotated[tuple[Depth, ...], BeforeValidator(_sequence)]
Genes = Annotated[tuple[int, ...], BeforeValidator(_sequence)]
Names = Annotated[tuple[str, ...], BeforeValidator(_sequence)]


class Model(BaseModel):
    """Base of all settings: frozen, strict in types, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )


class DatasetSettings(Model):
    """Which labelled images, and how they are split."""

    name: str = Field("digits", description="a data set that `evonas datasets` lists")
    dir: str | None = Field(None, description="folder with the images; null: the data set's own source")
    image_size: Pixels | None = Field(None, description="pixels a side; null: the data set's own")
    train_images: Count | None = Field(None, description="use only so many training images, stratified; null: all")
    fitness_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5, description="share of the training images that measure fitness and never train the supernet"
    )
    split_seed: Natural = Field(0, description="seed of the one split that warm-up, fine-tuning and fitness share")
    flip: bool | None = Field(None, description="random horizontal flips; null: the data set's own")
    crop: Padding | None = Field(None, description="padding of the random crop in pixels; null: the data set's own")


class SpaceSettings(Model):
    """What every search space has: a name.

    regularised: its networks have an auxiliary head for training, and edges that drop-path can drop.
    """

    regularised: ClassVar[bool] = False
    name: str


class SinglePathSettings(SpaceSettings):
    """A chain of choice blocks: each searchable layer takes one operation."""

    name: Literal["single-path"] = "single-path"
    width: Width = Field(16, description="channels of the first stage; each later stage doubles them")
    layers: Depths = Field((2, 3, 3), min_length=1, max_length=8, description="searchable layers of each stage")
    strides: Depths = Field(
        (1, 2, 2), min_length=1, max_length=8, description="stride of the first layer of each stage"
    )
    head: Head = Field(128, description="channels of the last 1x1 convolution; 0: none")
    operations: Names = Field(
        ("conv3", "sep3", "sep5", "mb3x3", "mb5x3", "maxpool3", "skip"),
        min_length=2,
        description="conv{k}, sep{k}, mb{k}x{expansion}, maxpool{k}, avgpool{k}, skip; k odd",
    )

    @model_validator(mode="after")
    def _consistent(self) -> SinglePathSettings:
        if len(self.layers) != len(self.strides):
            raise ValueError(
                f"layers has {len(self.layers)} stages and strides {len(self.strides)}; give one stride a stage"
            )
        if len(set(self.operations)) != len(self.operations):
            raise ValueError("operations holds a name twice; name each once")
        unknown = [name for name in self.operations if not OPERATION.fullmatch(name)]
        if unknown:
            raise ValueError(
                f"operation {unknown[0]!r} is unknown; use conv{{k}}, sep{{k}}, mb{{k}}x{{expansion}}, maxpool{{k}}, "
                "avgpool{k} with odd k, or skip"
            )
        return self


class NBMacroSettings(SpaceSettings):
    """The space of NAS-Bench-Macro; the defaults are the published networks."""

    name: Literal["nb-macro"] = "nb-macro"
    width: Width = Field(32, description="channels of the stem; the stages have 2, 4 and 8 times as many")
    head: Head = Field(1280, description="channels of the last 1x1 convolution; 0: none")


class NB201Settings(SpaceSettings):
    """The cells of NAS-Bench-201; the defaults are the published networks."""

    name: Literal["nb201"] = "nb201"
    width: Width = Field(16, description="channels of the stem and the first stage; each later stage doubles them")
    cells: Depth = Field(5, description="cells of each of the three stages")


class DartsSettings(SpaceSettings):
    """The cells of DARTS: a supernet in which they are searched, and a larger network of them that is retrained."""

    regularised: ClassVar[bool] = True
    name: Literal["darts"] = "darts"
    width: Width = Field(16, description="channels of a node of the supernet's first cell; each reduction doubles them")
    cells: Annotated[Whole, Field(ge=3, le=200)] = Field(8, description="cells of the supernet, two of them reductions")
    retrain_width: Width = Field(36, description="channels of a node of the retrained network's first cell")
    retrain_cells: Annotated[Whole, Field(ge=3, le=200)] = Field(
        20, description="cells of the retrained network; params, flops and latency are this network's"
    )


class OwnSpaceSettings(SpaceSettings):
    """A space in code of the user's own."""

    name: str = Field(description="FILE.py:Class, or an entry point of the group evonas.spaces")
    sha256: str | None = Field(None, description="of the file; null: of the file as it is when the run starts")


OWN_CODE = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")
OPERATION = re.compile(
    r"(?P<kind>conv|sep|maxpool|avgpool)(?P<kernel>[13579])|(?P<mb>mb)(?P<mbkernel>[3579])x(?P<expansion>[1-9])|skip"
)

# A new space: its settings here, its class in `evonas.spaces`, its networks in `evonas.networks`.
SPACE_SETTINGS: dict[str, type[SpaceSettings]] = {
    "single-path": SinglePathSettings,
    "nb-macro": NBMacroSettings,
    "nb201": NB201Settings,
    "darts": DartsSettings,
}


def entry_points_of(group: str) -> dict[str, EntryPoint]:
    """What installed packages offer in a group (evonas.spaces, .objectives, .algorithms); nothing is imported."""
    return {point.name: point for point in entry_points(group=group)}


def short_name(name: str) -> str:
    """NAME of FILE.py:NAME; another name as it is."""
    match = OWN_CODE.fullmatch(name)
    return match["name"] if match else name


def _space(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    name = value.get("name", "single-path")
    if isinstance(name, str) and name in SPACE_SETTINGS:
        return SPACE_SETTINGS[name].model_validate(dict(value))
    if isinstance(name, str) and (OWN_CODE.fullmatch(name) or name in entry_points_of("evonas.spaces")):
        return OwnSpaceSettings.model_validate(dict(value))
    if str(name).endswith(".py"):
        raise ValueError(f"{name!r} is a file, and no class in it is named; expected {name}:Class")
    raise ValueError(f"{name!r} is no search space{nearest(str(name), SPACE_SETTINGS)}, or FILE.py:Class of your own")


class SupernetSettings(Model):
    """Warm-up of the weight-sharing supernet."""

    epochs: Annotated[Whole, Field(ge=0, le=MOST)] = Field(40, description="warm-up passes over the weights part")
    batch_size: Count = Field(64, description="images a step; fine-tuning uses it too")
    lr: Positive = Field(0.1, description="SGD rate at the start of the cosine")
    lr_end: NotNegative = Field(0.001, description="SGD rate at the end of the warm-up")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="SGD momentum")
    weight_decay: NotNegative = Field(3e-4, description="SGD weight decay")
    clip: Positive = Field(5.0, description="largest norm of the gradient of a step")
    sampler: Literal["uniform", "fair", "deiso"] = Field(
        "uniform",
        description="uniform: one path a step; fair: every operation of every layer once a step; deiso: networks "
        "uniformly, however many genotypes mean one",
    )
    crop: Padding | None = Field(
        None,
        description="padding of the random crop while the supernet is trained; null: dataset.crop, as in retraining",
    )
    source: str | None = Field(
        None, alias="from", description="RUN whose warmed-up supernet is taken instead of a warm-up; null: none"
    )


class RegionWeights(Model):
    """Shares of the four parts of the region sampler; they are normalised to sum to one."""

    population: NotNegative = Field(0.5, description="members of the population, in whole shuffled rounds")
    gene: NotNegative = Field(0.3, description="paths drawn from the population's gene frequencies")
    neighbour: NotNegative = Field(0.1, description="members with `distance` units redrawn")
    uniform: NotNegative = Field(0.1, description="any path of the space, against forgetting")

    @model_validator(mode="after")
    def _some(self) -> RegionWeights:
        if sum(self.shares()) <= 0:
            raise ValueError("all four weights are 0; give at least one a positive weight")
        return self

    def shares(self) -> tuple[float, float, float, float]:
        """(population, gene, neighbour, uniform) as they were given."""
        return self.population, self.gene, self.neighbour, self.uniform


class FinetuneSettings(Model):
    """Fine-tuning of the supernet along the search, once a generation from the second on."""

    enabled: bool = Field(True, description="false: the supernet stays as the warm-up left it (SPOS)")
    epochs: Annotated[float, Field(gt=0, le=1000)] = Field(
        1.0, description="passes over the weights part a generation; more where each member would not get a step"
    )
    when: Literal["generation", "candidate"] = Field(
        "generation", description="candidate: train each before it is measured, one after another; stamps it unfair"
    )
    lr: Positive = Field(0.01, description="SGD rate at the start of the one cosine (to 0) over the whole search")
    sampler: Literal["region", "uniform"] = Field("region", description="where the paths of a phase come from")
    weights: RegionWeights = RegionWeights()  # type: ignore[call-arg]
    beta: NotNegative = Field(1.0, description="pseudo-count of the uniform prior in the gene frequencies")
    distance: Count = Field(1, description="most units that differ between a neighbour and its member")


class MeasureSettings(Model):
    """The protocol by which fitness is measured; measurements compare only within one protocol and state."""

    batch_norm: Literal["batch", "recalibrate", "running"] = Field("batch", description="whose statistics normalise")
    batch_size: Count = Field(
        256, description="images a batch; part of the protocol, since batch statistics depend on it"
    )
    calibration_images: Count = Field(2560, description="images of the weights part that recalibrate the statistics")
    shared_mib: Natural = Field(
        1024, description="MiB held for what members of a population compute alike; 0: measured one by one"
    )


class SearchSettings(Model):
    """The evolutionary search."""

    algorithm: str = Field("ga", description="ga, nsga2, nsga3, sms-emoa, random, aging, or FILE.py:NAME of your own")
    sha256: str | None = Field(None, description="of that file; null: of the file as it is when the run starts")
    population: Annotated[Whole, Field(ge=2, le=MOST)] | None = Field(
        None, description="genotypes a generation; null: 50, or what suits the evaluations"
    )
    generations: Count | None = Field(
        None, description="populations measured, the first included; null: 20, or what the evaluations pay for"
    )
    elites: Natural = Field(2, description="best genotypes that enter the next population, to be measured again")
    immigrants: Natural | None = Field(
        None, description="random genotypes that enter each population; null: one for each 16 of it"
    )
    tournament: Count = Field(3, description="genotypes drawn for one tournament")
    crossover: Share = Field(0.9, description="probability that a child has two parents")
    mutation: Share = Field(0.1, description="probability that a unit is redrawn; at least one is")
    novelty: Share = Field(
        0.0,
        description="probability that a child is drawn again when its network was measured before",
    )
    evaluations: Count | None = Field(None, description="cap on measured genotypes; null: none")
    init: str | None = Field(
        None, description="RUN whose front, or CSV file whose genotypes, begin the search; null: none"
    )
    scheme: Literal["generational", "mu_plus_lambda", "topk_archive"] = Field(
        "generational", description="population policy of the GA: generational, mu_plus_lambda or topk_archive"
    )
    archive: Annotated[int, BeforeValidator(_whole), Field(ge=2)] = Field(
        10, description="genotypes that topk_archive keeps as parents"
    )
    stale: bool = Field(
        False, description="true: parents keep fitness of older supernet states; stamps the result unfair"
    )
    protect: bool = Field(False, description="true: nsga2 keeps networks that gain fast too, which protects large ones")
    region: Literal["population", "parents"] = Field(
        "population", description="what the supernet is fine-tuned on: all that is measured next, or its parents"
    )

    @model_validator(mode="after")
    def _room(self) -> SearchSettings:
        if self.population is not None and self.elites + (self.immigrants or 0) >= self.population:
            raise ValueError(
                f"elites {self.elites} + immigrants {self.immigrants or 0} leave no room for children in a population "
                f"of {self.population}; lower one of them"
            )
        if self.stale and self.scheme == "generational":
            raise ValueError("stale needs scheme mu_plus_lambda or topk_archive; a generational population has no past")
        return self

    def completed(self, on_table: bool = False, budget: bool = False) -> SearchSettings:
        """The settings with the open numbers filled in; with `budget`, that of evaluations too.

        Raises ConfigError where they then leave no room for children. The population for a budget of E evaluations is a
        fiftieth of it, 10 at least and 50 at most, so that few evaluations still make many generations (docs/results.md
        holds populations of 10 and 16 against each other).
        """
        evaluations, population, generations = self.evaluations, self.population, self.generations
        if population is None:
            population = 50 if evaluations is None else min(max(evaluations // 50, 10), 50)
        if generations is None:
            # On a table elites cost nothing, so the budget ends the search and not the number of generations.
            paid = 20 if evaluations is None else math.ceil(evaluations / population)
            generations = evaluations if on_table and evaluations is not None else paid
        if budget and evaluations is None:
            evaluations = population * generations
        immigrants = population // 16 if self.immigrants is None else self.immigrants
        numbers = {"evaluations": evaluations, "population": population, "generations": generations}
        try:
            return SearchSettings.model_validate({**self.model_dump(), **numbers, "immigrants": immigrants})
        except ValidationError as error:
            raise ConfigError("; ".join(f"search: {_sentence(item, {})}" for item in error.errors())) from None


OBJECTIVES = ("error", "loss", "params", "flops", "latency_ms")
SHORT = {"latency": "latency_ms"}  # names that are taken too
# A new objective is a function of the network like the user's own, and an entry here: module and name.
FUNCTIONS = {"activations": ("evonas.objectives", "activations")}
COLUMNS = ("generation", "state", "genotype", "canonical", "origin", "seconds", "knee")  # of history.csv and pareto.csv


class LimitSettings(Model):
    """The most that a network may cost."""

    params: Positive | None = Field(None, description="most parameters; null: any number")
    flops: Positive | None = Field(None, description="most multiply-adds for one image; null: any number")
    latency_ms: Positive | None = Field(None, description="most milliseconds for a batch; null: any number")

    def given(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class OwnObjective(Model):
    """An objective in code of the user's own."""

    name: str = Field(description="FILE.py:function")
    sha256: str | None = Field(None, description="of the file; null: of the file as it is when the run starts")


class ProblemSettings(Model):
    """What is minimised, and within which limits."""

    objectives: Annotated[Names, Field(min_length=1)] | None = Field(
        None,
        description="error, loss, params, flops, activations, latency_ms, FILE.py:function or a table's columns; nsga2 "
        "adds params to one; null: its own",
    )
    own: dict[str, OwnObjective] = Field(
        {}, description="FILE.py:function and sha256 of objectives of your own, by name"
    )

    limits: LimitSettings = LimitSettings()  # type: ignore[call-arg]
    latency: Literal["table", "measured"] = Field(
        "table", description="latency_ms: table: added up from parts that are timed once; measured: network by network"
    )
    latency_batch: Count = Field(1, description="images of the batch that latency_ms is the time of")
    latency_file: str | None = Field(
        None,
        description="times of another device, which `evonas latency` took there; null: timed where the search runs",
    )

    @model_validator(mode="before")
    @classmethod
    def _own_by_name(cls, data: Any) -> Any:
        """`FILE.py:function` among the objectives becomes the objective `function`, with its code in `own`."""
        if not isinstance(data, Mapping) or not isinstance(data.get("own", {}), Mapping):
            return data
        names = data.get("objectives")
        if not isinstance(names, list | tuple):
            return data
        own = {short_name(name): {"name": name} for name in names if OWN_CODE.fullmatch(str(name))}
        plain = [short_name(name) if isinstance(name, str) else name for name in names]
        return {**data, "objectives": plain, "own": {**data.get("own", {}), **own}}

    @model_validator(mode="after")
    def _times_of_parts(self) -> ProblemSettings:
        if self.latency_file is not None and self.latency == "measured":
            raise ValueError("latency_file holds times of parts, and latency is measured; leave it table")
        return self

    @field_validator("objectives", mode="after")
    @classmethod
    def _in_full(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if names is None else tuple(SHORT.get(name, name) for name in names)

    @property
    def timed(self) -> bool:
        """Whether latency is an objective or limited."""
        return "latency_ms" in (self.objectives or ()) or self.limits.latency_ms is not None

    @model_validator(mode="after")
    def _once(self) -> ProblemSettings:
        if self.objectives is not None and len(set(self.objectives)) != len(self.objectives):
            raise ValueError("objectives holds a name twice; name each once")
        for name in self.own:
            if name in (*OBJECTIVES, *FUNCTIONS, *COLUMNS) or not name.isidentifier():
                raise ValueError(f"an objective of your own is called {name!r}, which has a meaning; call it otherwise")
        return self


class TableSettings(Model):
    """A ground-truth table that is searched instead of a supernet."""

    file: str | None = Field(None, description="CSV file, or nb-macro, which is shipped; null: a supernet is searched")
    genotype: str | None = Field(None, description="column of the genotypes, one digit a gene")
    fitness: str | None = Field(None, description="column of the accuracies in percent that the search sees")
    report: str | None = Field(None, description="column of the accuracies that are reported; null: that of fitness")
    params: str | None = Field(None, description="column of the parameters; null: `params`, or counted by the space")
    flops: str | None = Field(None, description="column of the multiply-adds; null: `flops`, or counted by the space")


class AuditSettings(Model):
    """Rank correlation with a ground-truth table at every supernet state; for study, it changes nothing of the run."""

    table: str | None = Field(
        None, description="table of the truth, its columns named by table.genotype and table.report; null: no audit"
    )
    genotypes: Count = Field(
        200, description="networks that are scored at every state, drawn once, at most all there are"
    )
    top: Natural = Field(0, description="further networks that are scored, drawn from the true top 10 %")
    seed: Natural = Field(0, description="seed of that draw, so that all runs score the same networks")
    states: Literal["all", "last"] = Field("all", description="all: every state of the supernet; last: its last")
    probe: Natural = Field(32, description="members of each population that are scored on its state and on the next")


class FinalSettings(Model):
    """The final choice, made on the last supernet state."""

    remeasure: bool = Field(True, description="false: choose by stored fitness of all states; stamps the result unfair")
    candidates: Count | None = Field(None, description="most genotypes that are measured again; null: the population")
    choice: Literal["measured", "model"] = Field(
        "measured",
        description="measured: the best of them; model: the best by an additive model of all measured on that state",
    )
    sample: Annotated[Whole, Field(ge=0, le=MOST)] = Field(
        0, description="random networks measured for the model alone; none on a table"
    )

    @model_validator(mode="after")
    def _one_state(self) -> FinalSettings:
        if self.choice == "model" and not self.remeasure:
            raise ValueError("choice model needs remeasure true: the model is of one supernet state")
        return self


class RetrainSettings(Model):
    """Training from scratch, of the chosen network and of the references it is held against."""

    enabled: bool = Field(True, description="false: the run ends with the choice, and no test error is reported")
    genotypes: Annotated[tuple[str | Genes, ...], BeforeValidator(_sequence), Field(min_length=1)] | None = Field(
        None, description="networks to train instead of a search, as published names or lists of genes; null: search"
    )
    top: Count = Field(1, description="networks that compete for the final choice, trained on the weights part alone")
    epochs: Count = Field(30, description="passes over the weights and fitness parts together")
    batch_size: Count = Field(64, description="images a step")
    lr: Positive = Field(0.1, description="SGD rate at the start of the cosine to 0")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="SGD momentum")
    weight_decay: NotNegative = Field(5e-4, description="SGD weight decay")
    clip: Positive = Field(5.0, description="largest norm of the gradient of a step")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="mass moved to the other classes")
    cutout: Padding = Field(0, description="side in pixels of a square cut out of each image; 0: none")
    auxiliary: NotNegative | None = Field(
        None, description="weight of the auxiliary head's loss; null: 0.4 where the space has one, else 0"
    )
    drop_path: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="probability that an edge is dropped, from 0 up, linear in the epoch; null: 0.2 where it can"
    )
    policy: Literal["none", "autoaugment", "randaugment"] = Field(
        "none", description="further augmentation: none, autoaugment or randaugment"
    )
    mixup: NotNegative = Field(0.0, description="alpha of mixup; 0: none")
    cutmix: NotNegative = Field(0.0, description="alpha of CutMix, in turn with mixup where both are on; 0: none")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="decay of a moving average of the weights, which is then what is reported; 0: none"
    )
    seeds: Count = Field(1, description="trainings of each reported network; the error is their mean")
    threads: Annotated[Whole, Field(ge=1, le=1024)] | None = Field(
        None, description="CPU threads of a training; null: 1 where there are trainings for every thread, else all"
    )
    jobs: Annotated[Whole, Field(ge=1, le=1024)] | None = Field(
        None, description="trainings side by side, each in a process; null: as many as there are threads for"
    )
    compile: bool | None = Field(None, description="torch.compile in retraining; null: on a GPU")
    references: Annotated[Whole, Field(ge=0, le=1000)] = Field(
        3, description="random networks trained by the same recipe, beside the largest, whatever the limits; 0: none"
    )


class LogSettings(Model):
    """Where a run tells what it does, beside the terminal; nothing of the run depends on it."""

    tensorboard: bool = Field(False, description="true: curves and pictures in RUN/tensorboard (extra tensorboard)")
    mlflow: bool = Field(
        False, description="true: MLflow's store RUN/mlruns, or MLFLOW_TRACKING_URI where that is set (extra mlflow)"
    )
    jsonl: bool = Field(False, description="true: RUN/log.jsonl, a JSON object a line")


class Settings(Model):
    """Everything that decides a run. RUN/config.yaml holds one, complete.

    `build` makes one, and raises ConfigError where the class itself raises pydantic's ValidationError. Units stand in
    the description of each key.
    """

    seed: Natural = Field(0, description="seed of every random draw of the run")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    threads: Annotated[Whole, Field(ge=1, le=1024)] | None = Field(
        None, description="CPU threads; null: chosen at start and recorded"
    )
    processes: Annotated[Whole, Field(ge=1, le=1024)] | None = Field(
        None, description="that share each step of the supernet, by torchrun; null: all there are, recorded"
    )
    memory_format: Literal["contiguous", "channels_last"] | None = Field(
        None, description="layout of images in memory; null: chosen at start and recorded"
    )
    allocator: Literal["keep", "system"] = Field(
        "keep", description="keep: memory once used stays with the process (CPU, glibc); system: as the system has it"
    )
    precision: Literal["float32", "bfloat16"] | None = Field(
        None, description="of convolutions and products; null: bfloat16 on a GPU that has it, else float32"
    )
    deterministic: bool = Field(False, description="true: a GPU computes the same bits each time, slower; a CPU does")
    dataset: DatasetSettings = DatasetSettings()  # type: ignore[call-arg]
    space: Annotated[SerializeAsAny[SpaceSettings], BeforeValidator(_space)] = SinglePathSettings()  # type: ignore[call-arg]
    supernet: SupernetSettings = SupernetSettings()  # type: ignore[call-arg]
    finetune: FinetuneSettings = FinetuneSettings()  # type: ignore[call-arg]
    measure: MeasureSettings = MeasureSettings()  # type: ignore[call-arg]
    search: SearchSettings = SearchSettings()  # type: ignore[call-arg]
    problem: ProblemSettings = ProblemSettings()  # type: ignore[call-arg]
    table: TableSettings = TableSettings()  # type: ignore[call-arg]
    audit: AuditSettings = AuditSettings()  # type: ignore[call-arg]
    final: FinalSettings = FinalSettings()  # type: ignore[call-arg]
    retrain: RetrainSettings = RetrainSettings()  # type: ignore[call-arg]
    log: LogSettings = LogSettings()  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _objectives_known(self) -> Settings:
        known = (*OBJECTIVES, *FUNCTIONS, *self.problem.own)
        for name in self.problem.objectives or ():
            if self.table.file is not None:  # they may be columns of the table, which checks them when it is read
                if name in self.problem.own:
                    raise ValueError(
                        f"problem.objectives: {name!r} is a function, and on a table objectives are its columns"
                    )
            elif name not in known and name not in entry_points_of("evonas.objectives"):
                raise ValueError(
                    f"problem.objectives: {name!r} is unknown{nearest(name, known)}, or FILE.py:function of your own"
                )
        return self

    @model_validator(mode="after")
    def _recipe_possible(self) -> Settings:
        for key in ("auxiliary", "drop_path"):
            value = getattr(self.retrain, key)
            if value and not self.space.regularised:
                raise ValueError(
                    f"retrain.{key} is {value:g}, and networks of {self.space.name} have none; leave it null"
                )
        return self


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the numbers of YAML 1.2: `1e6` and `1.0e6` are numbers, not text.

    It takes no aliases: settings have no need of them, and a few lines of them can stand for gigabytes.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node of the text, as PyYAML composes it."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not taken", mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    letter: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:float"]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|"
        r"\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def parse_yaml(text: str, source: str) -> Any:
    """YAML text as plain data. Raises ConfigError that names `source` and the line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        nested = isinstance(error, RecursionError)
        what = (
            "it is nested too deeply"
            if nested
            else getattr(error, "problem", None) or " ".join(str(error).split())[:120]
        )
        raise ConfigError(f"{source}{where} is not valid YAML: {what}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """A settings file as plain data. Raises ConfigError where it cannot be read or is no mapping."""
    try:
        text = read_text(path, SETTINGS_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read the settings file {path}: {reason}") from None
    data = parse_yaml(text, str(path))
    if data is None:
        raise ConfigError(f"the settings file {path} is empty; expected settings like `search: {{population: 16}}`")
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds a {type(data).__name__}; expected settings like `search: {{population: 16}}`")
    return data


def shipped(name: str) -> Path | None:
    """The shipped settings file `name`.yaml, None where there is none.

    It lies in `configs/` of a checkout, inside the package when installed.
    """
    for folder in shipped_folders():
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    return None


def shipped_folders() -> tuple[Path, ...]:
    """Where shipped settings files can lie, the installed place first."""
    package = Path(__file__).parent
    return package / "configs", package.parent / "configs"


def with_assignments(data: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of `data` with each `a.b=value` put in; values are YAML. Raises ConfigError for what is no assignment."""
    result: dict[str, Any] = _copied(data)
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"--set {assignment!r} is no assignment; expected key=value, as in search.population=16")
        if not value.strip():
            raise ConfigError(f"--set {assignment} has no value; write null for none")
        *parents, last = key.strip().split(".")
        if key.strip() == "space.name":
            _change_space(result, value.strip())
        place = result
        for parent in parents:
            if not isinstance(place.get(parent), dict):
                place[parent] = {}
            place = place[parent]
        place[last] = parse_yaml(value, f"--set {key}")
    return result


def _change_space(data: dict[str, Any], name: str) -> None:
    """Drop what the settings say of another space than `name`: its keys mean nothing to this one."""
    space = data.get("space")
    if isinstance(space, dict) and space.get("name", "single-path") != name:
        data["space"] = {}


def _copied(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in data.items()}


def build(data: Mapping[str, Any]) -> Settings:
    """Check plain data and make `Settings` of it. Raises ConfigError that holds every problem at once.

    Names of a data set and an algorithm are checked where a run starts.
    """
    try:
        return Settings.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError("; ".join(dict.fromkeys(_sentence(item, data) for item in error.errors()))) from None


def _sentence(item: Any, data: Mapping[str, Any]) -> str:
    """One problem found by pydantic as a clause of ours."""
    path = [part for part in item["loc"] if isinstance(part, str)]
    key = ".".join(path) or "the settings"
    if item["type"] == "extra_forbidden":
        elsewhere = [known for known in _all_keys(data) if known.rpartition(".")[2] == path[-1]]
        if elsewhere:  # the right word without its section, or in another's
            return f"unknown setting {key!r}; did you mean {' or '.join(map(repr, elsewhere))}?"
        if path[0] == "space" and _section("space", Settings, data) is OwnSpaceSettings:
            return f"unknown setting {key!r}; a space of your own has its numbers in its file"
        return f"unknown setting {key!r}{nearest(key, _known_keys(path[:-1], data))}"
    if item["type"] == "value_error":
        message: str = item["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if path else message
    return f"{key} is {_short(item['input'])}; expected {_expected(item)}"


def _expected(item: Any) -> str:
    """What pydantic expected, in words of ours where its own speak of its types."""
    context = item.get("ctx", {})
    match item["type"]:
        case "model_type" | "model_attributes_type" | "dict_type":
            return "settings, as in `search: {population: 16}`"
        case "tuple_type" | "list_type":
            return "a list, as in [error, params]"
        case "too_short":
            return f"a list of {context['min_length']} or more"
        case "too_long":
            return f"a list of {context['max_length']} or fewer"
        case "int_type" | "int_parsing" | "int_from_float":
            return "a whole number"
        case "float_type" | "float_parsing":
            return "a number"
        case "bool_type" | "bool_parsing":
            return "true or false"
        case "string_type":
            return "text"
    message: str = item["msg"]
    return message.removeprefix("Input should be ").replace("Input should ", "")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(path: list[str], data: Mapping[str, Any]) -> list[str]:
    """The keys that the settings at `path` know."""
    model: type[BaseModel] = Settings
    for part in path:
        within = _section(part, model, data)
        assert within is not None, "pydantic finds unknown keys in sections alone"
        model = within
    return [".".join([*path, field.alias or name]) for name, field in model.model_fields.items()]


def _all_keys(data: Mapping[str, Any]) -> Iterator[str]:
    """The keys of all sections, as `search.population`."""
    for key in _known_keys([], data):
        yield from [key] if _section(key, Settings, data) is None else _known_keys([key], data)


def _section(key: str, model: type[BaseModel], data: Mapping[str, Any]) -> type[BaseModel] | None:
    """The settings that a key of `model` holds, None where it holds a value; `space` holds those that `data` names."""
    if key == "space":
        space = data.get("space")
        name = space.get("name", "single-path") if isinstance(space, Mapping) else "single-path"
        return SPACE_SETTINGS.get(str(name), OwnSpaceSettings)
    return _model_in(model.model_fields[key].annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def to_yaml(settings: Settings) -> str:
    """The settings as YAML, complete and in order; `build(parse_yaml(...))` gives them back."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
