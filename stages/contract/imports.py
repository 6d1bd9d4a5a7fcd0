"""Finds what a module imports, without running it."""

from modulefinder import ModuleFinder
from pathlib import Path

from stages.contract.errors import StageError


def import_closure(root: Path, *modules: str) -> list[Path]:
    """The files below `root` of these modules and of all that they import, also in functions.

    Raises:
        StageError: one of the modules is not there, or cannot be parsed.
    """
    finder = ModuleFinder(path=[str(root)])
    try:
        for name in modules:
            finder.import_hook(name)
    except (ImportError, SyntaxError) as error:
        raise StageError(f"the code of {', '.join(modules)} cannot be read: {error}") from None
    files = (getattr(module, "__file__", None) for module in finder.modules.values())
    return sorted(Path(file) for file in files if file and Path(file).is_relative_to(root))
