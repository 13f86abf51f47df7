from pathlib import Path

import pytest

from analysis.audit import read_audit
from evonas.errors import AnalysisError

HEADER = "state,genotype,canonical,error,loss,params,flops"
GOOD = '0,"[0, 1]","[0, 1]",40.5,1.25,1000,2000'


def write(folder: Path, *lines: str) -> Path:
    path = folder / "audit.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_an_audit_is_read_with_its_types(tmp_path: Path) -> None:
    audit = read_audit(write(tmp_path, HEADER, GOOD, '1,"[1, 0]","[0, 1]",nan,inf,1000,2000'))
    assert audit["state"].tolist() == [0, 1]
    assert audit["genotype"].tolist() == [(0, 1), (1, 0)]
    assert audit["canonical"].tolist() == [(0, 1), (0, 1)]
    assert audit["loss"].tolist() == [1.25, float("inf")]
    assert "probe" not in audit


def test_columns_may_come_in_any_order_and_with_others(tmp_path: Path) -> None:
    header = "probe,other,flops,params,loss,error,canonical,genotype,state"
    audit = read_audit(write(tmp_path, header, 'uniform,x,2000,1000,1.25,40.5,"[0, 1]","[0, 1]",0'))
    assert audit["probe"].tolist() == ["uniform"]
    assert audit["error"].tolist() == [40.5]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('x,"[0, 1]","[0, 1]",1,1,1,1', r"row 2, column 'state' is 'x'; expected a whole number"),
        ('-1,"[0, 1]","[0, 1]",1,1,1,1', r"row 2, column 'state' is '-1'"),
        ('0,"[0, 1","[0, 1]",1,1,1,1', r"row 2, column 'genotype' is '\[0, 1'; expected a list"),
        ('0,"[0, 1.5]","[0, 1]",1,1,1,1', r"row 2, column 'genotype'"),
        ('0,"[0, true]","[0, 1]",1,1,1,1', r"row 2, column 'genotype'"),
        ('0,01,"[0, 1]",1,1,1,1', r"row 2, column 'genotype' is '01'"),
        ('0,"[1, 1]",,1,1,1,1', r"row 2, column 'canonical' is ''"),
        ('0,"[1, 1]","[1, 1]",,1,1,1', r"row 2, column 'error' is ''; expected a number \(percent\)"),
        ('0,"[1, 1]","[1, 1]",1,low,1,1', r"row 2, column 'loss' is 'low'"),
        ('0,"[1, 1]","[1, 1]",1,1,nan,1', r"row 2, column 'params' is 'nan'; expected a finite number"),
        ('0,"[1, 1]","[1, 1]",1,1,1', r"row 2: column 'flops' is missing; expected 7 cells"),
        ('0,"[1, 1]","[1, 1]",1,1,1,1,1', r"row 2: too many cells after column 'flops'"),
        (GOOD.replace("1.25", "1.5"), r"row 2, column 'genotype' is \[0, 1\] a second time for state 0"),
    ],
)
def test_a_malformed_row_is_named_with_its_column(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(AnalysisError, match=rf"audit\.csv: {message}"):
        read_audit(write(tmp_path, HEADER, GOOD, line))


def test_an_unknown_probe_group_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="column 'probe' is 'unform'; expected uniform, top, population or nothing"):
        read_audit(write(tmp_path, f"{HEADER},probe", f"{GOOD},unform"))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="has no column 'loss'"):
        read_audit(write(tmp_path, "state,genotype,canonical,error,params,flops", '0,"[0]","[0]",1,1,1'))


def test_files_that_are_no_audit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"cannot read .*audit\.csv: No such file .*evonas correlate RUN"):
        read_audit(tmp_path / "audit.csv")
    with pytest.raises(AnalysisError, match="has no rows"):
        read_audit(write(tmp_path, HEADER))
    (tmp_path / "audit.csv").write_bytes(b"\xff\xfe\x00,")
    with pytest.raises(AnalysisError, match="not CSV in UTF-8"):
        read_audit(tmp_path / "audit.csv")
