"""Takes what stands in a growing source: copies good files by their hash, leaves out the others."""

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.corpus_check.bucket import Entry, Listed, listed
from pipelines.errors import PipelineError
from stages.contract.errors import StageError
from stages.contract.hashing import sha256
from stages.contract.outs import whole
from stages.corpus.formats.read import params_of, read_corpus
from stages.fetching.growing import GROWING, Added, file_of, write_list
from stages.params.align import Align
from stages.params.download import Growing
from stages.params.params import Params

NOTE = Path(".measured", "growing.json")  # of a workspace; what is logged of it
SHOWN = 5


@dataclass
class Taken:
    """What was taken of a growing source.

    Attributes:
        source: Its address in params.yaml.
        files: The files, of which the corpus has one copy each.
        sentences: How many they have.
        broken: Name → why the file was left out; somebody has to correct it.
        late: Name → why the file is left to the next run.
        same: Name → the file of the same content that was taken.
    """

    source: str
    files: list[Added] = field(default_factory=list)
    sentences: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    late: dict[str, str] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line: how much was taken, and how much was not."""
        line = f"Growing source {self.source}: {_count(len(self.files), 'file')},"
        line += f" {_count(self.sentences, 'sentence')}"
        left = {"broken": self.broken, "left to the next run": self.late, "copies": self.same}
        return line + "".join(f"; {len(found):,} {kind}" for kind, found in left.items() if found)

    @property
    def left_out(self) -> list[str]:
        """A sentence for each file that is broken or late."""
        kinds = {"broken": self.broken, "left to the next run": self.late}
        return [
            f"{name} of the growing source is {kind}: {why}"
            for kind, found in kinds.items()
            for name, why in found.items()
        ]


def take(project: Path, params: Params, to: Path) -> Taken | None:
    """Replaces the folder `growing` in `to` by the files that stand in the source now.

    Each file is copied, then read as `align` would. Nothing in the source is changed. A hidden file
    (`.name`) is none of it.

    Args:
        project: To which a relative path belongs.
        params: Of the run.
        to: The folder `inputs` of a workspace or a tree.

    Returns:
        None if there is no growing source; then nothing is written.

    Raises:
        PipelineError: there is no such source, or too many of its files are broken.
    """
    growing = params.download.growing
    if growing is None:
        return None
    taken = Taken(growing.source)
    source = listed(project, growing.source)
    try:
        with whole(to / GROWING) as [folder]:
            folder.mkdir()
            for entry in source.entries:
                _take(taken, source, entry, folder, growing, params.align)
            write_list(folder, taken.files)
            _require_enough(taken, growing)
    except StageError as error:  # the disk is full
        raise PipelineError(str(error)) from None
    return taken


def take_none(params: Params, to: Path) -> None:
    """Writes an empty list, for a run that trains nothing, if there is a growing source."""
    if params.download.growing:
        (to / GROWING).mkdir(parents=True)
        write_list(to / GROWING, [])


def take_back(workspace: Path) -> None:
    """Puts into `inputs` what the corpus of a run has of the growing source, as it was then."""
    corpus = workspace / "data" / "corpus"
    source = corpus / "source.json"
    known = json.loads(source.read_text(encoding="utf-8")) if source.is_file() else {}
    if GROWING in known:
        to = workspace / "inputs" / GROWING
        shutil.copytree(corpus / GROWING, to)
        write_list(to, known[GROWING])


def note(taken: Taken, workspace: Path) -> None:
    """Writes for MLflow and the summary of a run what was taken and left out, and why."""
    path = workspace / NOTE
    path.parent.mkdir(exist_ok=True)
    figures = {"files": len(taken.files), "sentences": taken.sentences}
    figures |= {"broken": len(taken.broken), "late": len(taken.late), "same": len(taken.same)}
    text = json.dumps({**figures, "left_out": taken.left_out}, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def left_out(workspace: Path) -> list[str]:
    """What `note` wrote of the files that were left out; nothing if there is no note."""
    path = workspace / NOTE
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return [*known.get("left_out", ())]


def _take(
    taken: Taken, source: Listed, entry: Entry, folder: Path, growing: Growing, params: Align
) -> None:
    age_s = time.time() - entry.changed_s
    if age_s < growing.settled_s:
        taken.late[entry.name] = (
            f"it changed {max(age_s, 0):.0f} s ago, and download.growing.settled_s is"
            f" {growing.settled_s:g}"
        )
        return
    copy = folder / f".{GROWING}{Path(entry.name).suffix}"
    try:
        changed = source.copy(entry, copy)
        if changed:
            taken.late[entry.name] = "it changed or was deleted while it was read"
            return
        corpus = read_corpus(copy, params_of(copy, params), repair=True)
    # Whatever a file does to its reader, the other files are good.
    except Exception as error:
        said = " ".join(str(error).replace(str(copy), entry.name).split())
        taken.broken[entry.name] = said or type(error).__name__
        return
    else:
        added = Added(name=entry.name, bytes=copy.stat().st_size, sha256=sha256(copy))
        same = next((f["name"] for f in taken.files if f["sha256"] == added["sha256"]), None)
        if same is not None:
            taken.same[entry.name] = same
            return
        copy.rename(folder / file_of(added))
        taken.files.append(added)
        taken.sentences += len(corpus)
    finally:
        copy.unlink(missing_ok=True)


def _require_enough(taken: Taken, growing: Growing) -> None:
    read, broken = len(taken.files) + len(taken.broken), len(taken.broken)
    if broken and (not taken.files or broken > growing.broken_share_max * read):
        first = "; ".join(f"{n}: {why}" for n, why in [*taken.broken.items()][:SHOWN])
        more = f"; and {broken - SHOWN:,} more" if broken > SHOWN else ""
        raise PipelineError(
            f"{broken:,} of {_count(read, 'file')} in the growing source {growing.source} are"
            f" broken, {_why(taken, growing)}: {first}{more}. Correct them or move them away, or"
            " correct in params.yaml how `align` is to read them; if the others are enough, raise"
            " download.growing.broken_share_max"
        )


def _why(taken: Taken, growing: Growing) -> str:
    if not taken.files:
        return "so none is left to train on"
    return f"more than download.growing.broken_share_max = {growing.broken_share_max:g} allows"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"
