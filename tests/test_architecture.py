"""Data flows one way: each package imports only from those below it, and nothing imports itself by a detour."""

import ast
from graphlib import TopologicalSorter

import pytest
from conftest import ROOT

#: From the top down; what stands in one line does not import its neighbours.
ORDER = [
    ["__main__"],
    ["commands"],
    ["figures"],
    ["batch"],
    ["films"],
    ["__init__"],
    ["painting"],
    ["runs"],
    ["stages"],
    ["optimise"],
    ["model"],
    ["weights", "images"],
    ["recipes"],
    ["settings"],
    ["evaluation", "files", "machine", "places"],
    ["errors", "news", "signals", "version"],
]
FLOOR = {part: floor for floor, parts in enumerate(reversed(ORDER)) for part in parts}
PACKAGE = ROOT / "nst_graph"


def modules():
    """The modules by name, and those of this package that each imports, wherever in the file."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    imports = {}
    for name, path in names.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                submodules = {f"{node.module}.{alias.name}" for alias in node.names}
                # A name of a package's public face comes from the package itself.
                found |= {module if module in names else node.module for module in submodules}
        imports[name] = {module for module in found if module in names and module != name}
    return imports


def part(module):
    """The package, or the module beside the packages, that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


IMPORTS = modules()


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_imports_run_down(module):
    here = part(module)
    for other in IMPORTS[module]:
        there = part(other)
        if there != here and there != "__init__":
            assert FLOOR[there] < FLOOR[here], f"{module} imports {other}"


def test_no_circles():
    list(TopologicalSorter(IMPORTS).static_order())  # raises CycleError


def test_functions_fit_on_a_screen():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                assert length < 50, f"{path.relative_to(ROOT)}: {node.name} has {length} lines"


def test_the_face_of_each_package():
    """Each package says what it is for, and hands on names that are there."""
    for path in PACKAGE.rglob("__init__.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path
