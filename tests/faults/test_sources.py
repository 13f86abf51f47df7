"""What our sources never do: unpickle, evaluate text, load YAML unsafely, start a server."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted(path for name in ("evonas", "problems", "analysis") for path in (ROOT / name).rglob("*.py"))
NEVER = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "pickle.dump", "pickle.dumps", "joblib.load", "joblib.dump", "dill.load", "dill.loads", "shelve.open",
    "marshal.load", "marshal.loads", "pandas.read_pickle", "pd.read_pickle", "yaml.unsafe_load", "yaml.full_load",
    "yaml.load_all", "torch.jit.load", "torch.hub.load", "socket.socket", "HTTPServer", "http.server.HTTPServer",
}  # fmt: skip


# Code that the user has named himself on the command line of this machine.
OWN_CODE = {"own_code.py": {"exec", "compile"}}


def named(node: ast.expr) -> str:
    """The dotted name of what is called."""
    if isinstance(node, ast.Attribute):
        return f"{named(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(source: str, allowed: Collection[str] = ()) -> Iterator[str]:
    """What a source does that it never should, by line."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name, given = named(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        if (
            (name in NEVER and name not in allowed)
            or (name == "torch.load" and given.get("weights_only") != "True")
            or (name == "yaml.load" and given.get("Loader") != "_Loader")
            or (name.endswith("np.load") and given.get("allow_pickle", "False") != "False")
            or given.get("shell") == "True"
        ):
            yield f"line {node.lineno}: {ast.unparse(node)[:80]}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_unpickles_or_evaluates(path: Path) -> None:
    assert not list(faults(path.read_text(encoding="utf-8"), OWN_CODE.get(path.name, ())))


def test_the_yaml_loader_is_the_safe_one() -> None:
    import yaml

    from evonas.config import _Loader

    assert issubclass(_Loader, yaml.SafeLoader)
    assert _Loader.yaml_constructors is yaml.SafeLoader.yaml_constructors


@pytest.mark.parametrize(
    "line",
    [
        "pickle.loads(data)", "eval(text)", "torch.load(path)", "torch.load(path, weights_only=False)",
        "yaml.load(text)", "yaml.load(text, Loader=yaml.Loader)", "subprocess.run(line, shell=True)",
        "np.load(path, allow_pickle=True)",
    ],
)  # fmt: skip
def test_this_check_sees_what_it_is_for(line: str) -> None:
    assert list(faults(line))
