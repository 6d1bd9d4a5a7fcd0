"""The contracts of the design: names, paths and imports agree with dvc.yaml and params.yaml."""

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from stages.params.params import Params
from tests.conftest import ROOT
from tests.stages.tiny import align_text, write_encoder
from tests.support.imports import graph_of, import_closure

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = DVC["stages"]
NAMES = list(STAGES)
OUTS = ("outs", "metrics", "plots")
CODE = (".py", ".pyc")

each_stage = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def graph():
    return graph_of("stages", "pipelines")


def paths(stage, *kinds):
    """Paths of these kinds, of which some may have options."""
    entries = [entry for kind in kinds for entry in STAGES[stage].get(kind, [])]
    return {path for e in entries for path in ([e] if isinstance(e, str) else e)}


def below(path, folder):
    return Path(path).is_relative_to(folder)


def read_beside(modules):
    """The templates and such that lie beside modules, which read them."""
    folders = {(ROOT / module).parent for module in modules}
    files = {path for folder in folders for path in folder.iterdir() if path.is_file()}
    return {path.relative_to(ROOT).as_posix() for path in files if path.suffix not in CODE}


def is_data(path):
    """Whether a stage makes it; else it is in the repository."""
    return any(below(path, folder) for folder in ("data", "models", "reports"))


def test_five_stages_in_order_each_a_section_and_a_module():
    assert NAMES == ["download", "align", "train", "evaluate", "export"]
    # There may be sections that are no stage's: what the flow alone reads.
    sections = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert set(NAMES) <= set(Params.model_fields) == set(sections)
    for name in NAMES:
        assert Params.model_fields[name].annotation.__name__.lower() == name
        assert (ROOT / f"stages/{name}.py").is_file()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")
def test_dvc_takes_it():
    with Repo(str(ROOT)) as repo:
        repo.index.check_graph()
        assert {stage.name for stage in repo.index.stages} == set(NAMES)
    for artifact in DVC["artifacts"].values():
        assert any(artifact["path"] in paths(name, "outs") for name in NAMES)


@each_stage
def test_command_and_params(name):
    assert STAGES[name]["cmd"] == f"docker/run python -m stages.{name}"
    assert STAGES[name]["params"] == [name]
    assert STAGES[name]["desc"]


@each_stage
def test_the_stage_reads_its_own_section(name):
    [call] = [
        node
        for node in ast.walk(_tree(name))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "command"
    ]
    assert ast.unparse(call.args[0]) == name.capitalize()


@each_stage
def test_code_deps_are_the_import_closure(name, graph):
    """A package stands for its modules where the stage takes more than half of them."""
    code = {dep for dep in paths(name, "deps") if below(dep, "stages")}
    closure = import_closure(graph, f"stages.{name}", ROOT)
    taken = closure | read_beside(closure)
    assert {file for file in taken if not any(below(file, dep) for dep in code)} == set()
    files = {dep for dep in code if (ROOT / dep).is_file()}
    assert files <= taken
    for package in code - files:
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
        modules = {path for path in modules if not path.endswith("/__init__.py")}
        assert len(modules & taken) > len(modules) / 2, package
    assert not any(below(dep, other) for dep in code for other in code - {dep})


@pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")
def test_bytecode_is_no_part_of_a_package():
    with Repo(str(ROOT)) as repo:
        assert repo.dvcignore.is_ignored_dir(str(ROOT / "stages" / "text" / "__pycache__"))


def test_parameters_of_one_stage_run_no_other_again():
    of_stage = {name: f"stages/params/{name}.py" for name in NAMES}
    for name in NAMES:
        below_params = {dep for dep in paths(name, "deps") if below(dep, "stages/params")}
        assert below_params == {of_stage[name]}


@each_stage
def test_the_image_and_its_packages_are_deps_and_no_other_file_of_docker(name):
    """People's packages or a comment in the Dockerfile change no model."""
    docker = {dep for dep in paths(name, "deps") if below(dep, "docker")}
    assert docker == {"docker/IMAGE", "docker/requirements.lock"}


def test_packages_hold_no_code():
    """Which is why a stage that takes single modules does not depend on their package's file."""
    for path in (ROOT / "stages").glob("*/**/__init__.py"):
        [docstring] = ast.parse(path.read_text(encoding="utf-8")).body
        assert isinstance(docstring, ast.Expr)
        assert isinstance(docstring.value, ast.Constant)


@each_stage
def test_main_hands_over_the_paths_of_dvc_yaml(name):
    main = next(n for n in _tree(name).body if getattr(n, "name", "") == "main")
    handed = {
        ast.literal_eval(call.args[0])
        for call in ast.walk(main)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Path"
    }
    outs = paths(name, *OUTS)
    data_deps = {dep for dep in paths(name, "deps") if is_data(dep) or dep == "inputs"}
    assert outs <= handed
    # What is handed over and not written is read, as a whole or a file of it.
    read = handed - outs
    assert all(any(below(dep, path) for dep in data_deps) for path in read)
    assert all(any(below(dep, path) for path in read) for dep in data_deps)


def test_what_is_read_is_written_before():
    written = set()
    for name in NAMES:
        for dep in paths(name, "deps"):
            made = (
                any(below(dep, out) for out in written) if is_data(dep) else (ROOT / dep).exists()
            )
            assert made, f"{name} reads {dep}"
        new = paths(name, *OUTS)
        assert all(map(is_data, new))
        assert not new & written
        written |= new


def test_what_align_writes_is_what_others_read(tmp_path):
    align_text(tmp_path, write_encoder(tmp_path / "data/encoder"))
    read = {dep for name in NAMES for dep in paths(name, "deps") if below(dep, "data/aligned")}
    for path in paths("align", *OUTS) | read:
        assert (tmp_path / path).exists(), path


@each_stage
def test_no_out_persists(name):
    for kind in OUTS:
        for entry in STAGES[name].get(kind, []):
            if isinstance(entry, dict):
                [options] = entry.values()
                assert not options.get("persist", False)


@each_stage
def test_help(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [f"stages/{name}.py", "--help"])
    monkeypatch.delitem(sys.modules, f"stages.{name}", raising=False)
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"stages.{name}", run_name="__main__")
    assert end.value.code == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"usage: python -m stages.{name} [-h]\n")
    assert printed.err == ""


# A folder of somebody's machine, where no word or path goes before it.
OF_A_MACHINE = re.compile(rf"(?<![\w.$}}/-])/({'|'.join(['home', 'root', 'Users', 'work'])})/\w")


def test_no_tracked_file_names_a_folder_of_this_machine():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.check_output(["git", "-C", ROOT, "ls-files", "-z"], text=True)
    files = [ROOT / name for name in listed.split("\0") if name]
    assert ROOT / "dvc.yaml" in files
    assert OF_A_MACHINE.search(f'"{Path("/", "home", "me")}"')
    found = [
        f"{file}:{number}: {line.strip()[:80]}"
        for file in files
        if file.is_file()
        for number, line in enumerate(file.read_text("utf-8", "replace").split("\n"), start=1)
        if OF_A_MACHINE.search(line)
    ]
    assert found == []


def _tree(stage):
    return ast.parse((ROOT / f"stages/{stage}.py").read_text(encoding="utf-8"))
