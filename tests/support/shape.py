"""The longest functions and files, the fullest folders, the widest signatures: `make shape`."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What is measured → where, and the most that is allowed.
LIMITS = {
    "lines of a function": (("stages", "pipelines", "benchmarks"), 60),
    "parameters of a function": (("stages", "pipelines", "benchmarks"), 8),
    "lines of a file": (("stages", "pipelines", "benchmarks", "docker", "samples", "tests"), 250),
    "modules of a folder": (("stages", "pipelines"), 15),
}
SHOWN = 3  # of each kind, and all that are too large


@dataclass(frozen=True, order=True)
class Size:
    """One measurement, such as 57 lines of a function, and where it was made."""

    value: int
    where: str

    def __str__(self) -> str:
        return f"{self.value:4}  {self.where}"


def main() -> None:
    """Prints the largest of each kind, and with an exclamation mark whatever is too large."""
    for kind, (folders, limit) in LIMITS.items():
        print(f"{kind} (at most {limit}):")
        for rank, size in enumerate(largest(kind, ROOT, folders)):
            if rank < SHOWN or size.value > limit:
                print("!" if size.value > limit else " ", size)


def too_large(kind: str) -> list[str]:
    """Every function, file or folder above the limit of `kind`."""
    folders, limit = LIMITS[kind]
    return [str(size) for size in largest(kind, ROOT, folders) if size.value > limit]


def largest(kind: str, root: Path, folders: tuple[str, ...]) -> list[Size]:
    """All sizes of `kind` below these folders of `root`, the largest first."""
    measure = {
        "lines of a function": lines_of_functions,
        "parameters of a function": parameters,
        "lines of a file": lines_of_files,
        "modules of a folder": modules_of_folders,
    }[kind]
    files = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return sorted(measure(root, files), reverse=True)


def lines_of_functions(root: Path, files: list[Path]) -> Iterator[Size]:
    for where, node in functions(root, files):
        yield Size((node.end_lineno or 0) - node.lineno + 1, where)


def parameters(root: Path, files: list[Path]) -> Iterator[Size]:
    for where, node in functions(root, files):
        every = node.args
        named = [*every.posonlyargs, *every.args, *every.kwonlyargs]
        yield Size(len(named) + bool(every.vararg) + bool(every.kwarg), where)


def lines_of_files(root: Path, files: list[Path]) -> Iterator[Size]:
    for path in files:
        text = path.read_text(encoding="utf-8")
        yield Size(len(text.splitlines()), path.relative_to(root).as_posix())


def modules_of_folders(root: Path, files: list[Path]) -> Iterator[Size]:
    """`__init__.py` and `__main__.py` do not count."""
    count = Counter(path.parent for path in files if not path.name.startswith("_"))
    for folder, modules in count.items():
        yield Size(modules, folder.relative_to(root).as_posix())


def functions(
    root: Path, files: list[Path]
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(root).as_posix()}:{node.lineno} {node.name}", node


if __name__ == "__main__":
    main()
