"""What modules import, by grimp's static analysis."""

import ast
from importlib.util import find_spec
from pathlib import Path

from grimp import ImportGraph, build_graph


def graph_of(*packages: str) -> ImportGraph:
    """All imports of these packages but those that only a type checker sees."""
    return build_graph(
        *packages,
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )


def import_closure(graph: ImportGraph, module: str, root: Path) -> set[str]:
    """The files below `root` of `module` and all that it imports, packages left out."""
    found = {module, *graph.find_upstream_modules(module)}
    files = {f"{name.replace('.', '/')}.py" for name in found}
    return {file for file in files if (root / file).is_file()}


def loaded_at_import(graph: ImportGraph, package: str, heavy: str) -> set[tuple[str, ...]]:
    """Chains of imports by which loading a module of `package` loads `heavy`."""
    if heavy not in graph.modules:
        return set()
    for importer in sorted(graph.modules):
        imports = sorted(graph.find_modules_directly_imported_by(importer))
        functions = _functions(importer) if imports else []
        for imported in imports:
            details = graph.get_import_details(importer=importer, imported=imported)
            if all(any(detail["line_number"] in f for f in functions) for detail in details):
                graph.remove_import(importer=importer, imported=imported)
    return graph.find_shortest_chains(importer=package, imported=heavy, as_packages=True)


def _functions(module: str) -> list[range]:
    """The lines of each function."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return [
        range(node.lineno, (node.end_lineno or 0) + 1)
        for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
