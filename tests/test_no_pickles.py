"""A pickle from outside is a program from outside: nothing here opens one."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {"eval", "exec", "read_pickle", "unsafe_load"}
OUR_OWN = {("pipeline/remote.py", "imports pickle")}
"""A job on its way from the driver to its own workers, which dask itself pickles no less."""
GUARDS = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}


def faults(tree: ast.AST) -> Iterator[str]:
    """What in a module could run what a file holds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (f"imports {name}" for name in names if name.split(".")[0] in FORBIDDEN_IMPORTS)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS or called.split(".")[-1] in FORBIDDEN_CALLS - {"eval"}:
                yield f"calls {called}"
            if called in GUARDS:
                option, wanted = GUARDS[called]
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                if given.get(option) != str(wanted):
                    yield f"calls {called} without {option}={wanted}"


def test_no_module_opens_a_pickle() -> None:
    modules = [path for name in ("pipeline", "models", "flows") for path in (ROOT / name).rglob("*.py")]
    assert len(modules) > 100
    found = {
        (path.relative_to(ROOT).as_posix(), fault)
        for path in modules
        for fault in faults(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == OUR_OWN


def test_the_search_finds_what_it_looks_for() -> None:
    bad = "import pickle", "np.load(p)", "torch.load(p)", "np.load(p, allow_pickle=True)", "eval(p)"
    assert len(list(faults(ast.parse("\n".join([*bad, "torch.load(p, weights_only=True)"]))))) == len(bad)
