"""peers.csv and the user's own rows: a schema that is checked, and what replaces what."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.peers import CONFLICTS, FOLDER, KINDS, load_peers, load_target
from analysis.schema import read_checked
from evonas.errors import AnalysisError

SHARED = Path(__file__).resolve().parents[3] / "shared"
COLUMNS = [name for name in KINDS if name != "also_printed"]
GOOD = {
    "key": "mine",
    "name": "Mine",
    "year": "2024",
    "venue": "",
    "category": "automatic",
    "search_method": "evolution",
    "dataset": "cifar10",
    "error_pct": "2.45",
    "error_std": "0.05",
    "params_m": "3.5",
    "gpu_days": "0.25",
    "cutout": "yes",
    "source": "A paper (Table 1)",
    "source_url": "https://example.org/a?b=1",
    "verified": "yes",
    "in_comparison": "no",
    "note": "",
}


def write(folder: Path, *rows: dict[str, str], columns: list[str] | None = None) -> Path:
    path = folder / "mine.csv"
    pd.DataFrame([{**GOOD, **row} for row in rows]).reindex(columns=columns or COLUMNS).to_csv(path, index=False)
    return path


@pytest.mark.skipif(not (SHARED / "peers.csv").is_file(), reason=f"{SHARED / 'peers.csv'} is not there")
def test_the_shipped_file_is_what_was_read_from_the_sources() -> None:
    assert (FOLDER / "peers.csv").read_bytes() == (SHARED / "peers.csv").read_bytes()


def test_the_shipped_peers_are_32_methods_with_types() -> None:
    peers = load_peers()
    chosen = peers[peers["in_comparison"]]
    assert len(peers) == 150
    assert chosen["key"].nunique() == 32
    assert chosen["dataset"].value_counts().to_dict() == {"cifar10": 32, "cifar100": 28}
    assert peers["year"].dtype == int and peers["verified"].dtype == bool
    assert peers["error_pct"].dtype == peers["gpu_days"].dtype == float
    assert set(peers["origin"]) == {"shipped"}
    assert chosen["verified"].all()


def test_every_conflict_is_one_of_the_comparison_set() -> None:
    peers = load_peers()
    chosen = peers[peers["in_comparison"]].set_index(["key", "dataset"])
    conflicts = read_checked(FOLDER / "conflicts.csv", CONFLICTS, rows="any")
    for key, dataset, text in conflicts.itertuples(index=False):
        assert chosen.loc[(key, dataset), "also_printed"] == text
    assert (peers["also_printed"] != "").sum() == len(conflicts)


@pytest.mark.skipif(not (SHARED / "peers.md").is_file(), reason=f"{SHARED / 'peers.md'} is not there")
def test_every_conflict_that_is_known_is_there() -> None:
    section = (SHARED / "peers.md").read_text().split("## Known conflicts")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    peers = load_peers()
    told = peers[(peers["also_printed"] != "") & peers["in_comparison"]]
    datasets = {"both": ["cifar10", "cifar100"], "CIFAR-10": ["cifar10"], "CIFAR-100": ["cifar100"]}
    assert len(rows[2:]) == 14
    for method, dataset, *_ in rows[2:]:
        name = method.split(" / ")[0].rstrip(")")
        for wanted in datasets[dataset]:
            assert told[told["dataset"] == wanted]["name"].str.startswith(name).any(), (method, wanted)


def test_the_target_states_what_its_abstract_does() -> None:
    target = load_target().set_index("dataset")
    assert target["error_pct"].to_dict() == {"cifar10": 2.50, "cifar100": 17.07}
    assert target["gpu_days"].to_dict() == {"cifar10": 0.50, "cifar100": 0.92}
    assert target["params_m"].isna().all()
    assert not target["in_comparison"].any()


def test_rows_of_the_user_replace_those_of_their_key_and_add_the_others(tmp_path: Path) -> None:
    shipped = load_peers()
    replaced = {"key": "cars", "dataset": "cifar100", "name": "CARS, mine", "error_pct": "15.5"}
    peers = load_peers(write(tmp_path, replaced, {"in_comparison": "yes"}))
    place = int(shipped.index[(shipped["key"] == "cars") & (shipped["dataset"] == "cifar100")][0])
    assert len(peers) == len(shipped) + 1
    assert peers.loc[place, "name"] == "CARS, mine"
    assert peers.loc[place, "origin"] == "mine.csv"
    assert peers.iloc[-1]["key"] == "mine" and peers.iloc[-1]["error_std"] == 0.05
    others = peers.drop([place, len(peers) - 1])
    pd.testing.assert_frame_equal(others, shipped.drop(place))


def test_what_else_is_printed_can_be_given(tmp_path: Path) -> None:
    file = write(tmp_path, {"also_printed": "2.60 (another paper)"}, columns=[*COLUMNS, "also_printed"])
    assert load_peers(file).iloc[-1]["also_printed"] == "2.60 (another paper)"


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("key", "My Key", "lower-case letters, digits and _"),
        ("name", " ", "the method's name"),
        ("year", "24", "a year such as 2023"),
        ("category", "manual", "one of hand-crafted, semi-automatic, automatic"),
        ("search_method", "magic", "one of manual, evolution"),
        ("dataset", "imagenet", "one of cifar10, cifar100"),
        ("error_pct", "", "the test error in percent, from 0 to 100"),
        ("error_pct", "nan", "the test error in percent"),
        ("error_pct", "102.5", "the test error in percent"),
        ("error_pct", "2,5", "the test error in percent"),
        ("error_std", "-0.1", "a deviation in percent"),
        ("params_m", "0", "millions of parameters above 0, or nothing"),
        ("params_m", "3.5M", "millions of parameters above 0, or nothing"),
        ("gpu_days", "inf", "GPU-days above 0, or nothing"),
        ("cutout", "maybe", "one of yes, no, unknown"),
        ("source", "", "where the error was read"),
        ("source_url", "javascript:alert(1)", "an address that begins with http"),
        ("source_url", 'https://a.org/"><script>', "an address that begins with http"),
        ("source_url", "", "an address that begins with http"),
        ("verified", "true", "yes or no"),
        ("in_comparison", "", "yes or no"),
    ],
)
def test_a_malformed_cell_is_named_with_its_row(tmp_path: Path, column: str, value: str, expected: str) -> None:
    file = write(tmp_path, {}, {"key": "other", column: value})
    with pytest.raises(AnalysisError) as error:
        load_peers(file)
    assert str(error.value).startswith(f"{file}: row 2, column '{column}' is {value!r}; expected {expected}")


def test_files_that_are_no_peers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="row 2, column 'key' is mine a second time for dataset cifar10"):
        load_peers(write(tmp_path, {}, {}))
    with pytest.raises(AnalysisError, match="has no column 'gpu_days'; expected the columns key, name"):
        load_peers(write(tmp_path, {}, columns=[name for name in COLUMNS if name != "gpu_days"]))
    with pytest.raises(AnalysisError, match="has the column 'name' 2 times"):
        load_peers(write(tmp_path, {}, columns=[*COLUMNS, "name"]))
    with pytest.raises(AnalysisError, match=r"cannot read .*none\.csv: No such file"):
        load_peers(tmp_path / "none.csv")
