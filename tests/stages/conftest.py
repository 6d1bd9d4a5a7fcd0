"""A workspace to run `python -m stages.download` in, a hub on loopback, and wrong parameters."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from stages.contract.errors import StageError
from stages.contract.hashing import digests
from stages.contract.section import read
from stages.params.download import Download
from stages.params.params import Params
from stages.train import train
from tests.conftest import ROOT
from tests.stages.curve import curve
from tests.support.mirror import Mirror
from tests.support.once import once

REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")
TRAIN = "张\tB-PER\n三\tI-PER\n在\tO\n\n\n京\tB-LOC\n\n".encode()
TEST = "京\tB-LOC\n沪\tB-LOC\n".encode()


class Workspace:
    """A folder with the `download` section of params.yaml; change `section` before a run."""

    def __init__(self, path: Path, section: dict[str, Any]) -> None:
        self.path = path
        self.section = section
        path.mkdir()

    def params(self) -> Download:
        """What the section says, as the stage reads it."""
        file = self.path / "params.yaml"
        file.write_text(yaml.safe_dump({"download": self.section}), encoding="utf-8")
        return read(Download, file)

    def start(self, *prefix: str, **env: str) -> "subprocess.Popen[str]":
        """The stage as a process of its own."""
        self.params()
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "stages.download"],
            cwd=self.path,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *prefix: str, **env: str) -> tuple[int, str]:
        """Exit status and what was printed."""
        with self.start(*prefix, **env) as process:
            printed = process.communicate()[1]
        return process.returncode, printed

    def files(self) -> dict[str, bytes]:
        """Every file but params.yaml, by its path."""
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if not path.is_dir() and path.name != "params.yaml"
        }


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """The folder of a whole encoder, and files beside it that nobody needs."""
    folder = tmp_path / "tiny-bert"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert", "vocab_size": 7}')
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n京\n\u2028\n[CLS]\n[SEP]\n[MASK]\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    save_file({"embedding": np.zeros((4, 8), np.float32)}, folder / "model.safetensors")
    (folder / "README.md").write_text("# Tiny")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / ".cache").mkdir()
    return folder


@pytest.fixture
def work(tmp_path: Path, encoder: Path) -> Workspace:
    """Everything comes from local files that are right."""
    (tmp_path / "train").write_bytes(TRAIN)
    (tmp_path / "test").write_bytes(TEST)
    section = {
        split: {
            "sources": [str(tmp_path / split)],
            "bytes": len(body),
            "git_blob": None,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        for split, body in (("train", TRAIN), ("test", TEST))
    }
    section["dev"] = section["growing"] = None
    section["encoder"] = {
        "hub_id": None,
        "revision": None,
        "folder": str(encoder),
        "sha256": {},
        "from_scratch": False,
    }
    return Workspace(
        tmp_path / "work",
        section
        | {"name": "语料", "language": "zh", "licence": "许可"}
        | {"text": [], "timeout_s": 5.0, "attempts": 2},
    )


class Hub:
    """As much of the hub's API as the stage asks for; `siblings` are the files it tells of."""

    def __init__(
        self,
        mirror: Mirror,
        folder: Path,
        hub_id: str = "someone/tiny-bert",
        revision: str = "0123456789" * 4,
        cdn: Mirror | None = None,
    ) -> None:
        """With `cdn` it serves no file itself but redirects, as the real one does."""
        self.mirror, self.hub_id, self.revision, self._cdn = mirror, hub_id, revision, cdn
        self.api = f"/api/models/{hub_id}/revision/{revision}"
        self.siblings: dict[str, dict[str, Any]] = {}
        for path in folder.iterdir():
            if path.is_file():
                self._add(path)
        self.tell()

    def _add(self, path: Path) -> None:
        found, name, body = digests(path), path.name, path.read_bytes()
        entry = {"rfilename": name, "size": found["bytes"], "blobId": found["git_blob"]}
        large = path.suffix in (".safetensors", ".bin", ".h5", ".msgpack")
        if large:  # Git holds a pointer to it
            entry["blobId"] = "f" * 40
            entry["lfs"] = {"sha256": found["sha256"], "size": found["bytes"], "pointerSize": 134}
        self.siblings[name] = entry
        if self._cdn is None:
            self.mirror.put(self.file(name), body)
            return
        if large:
            there = self._cdn.put(f"/xet-bridge-us/{found['sha256']}", body) + "?X-Amz-Expires=3600"
        else:
            there = f"/api/resolve-cache/models/{self.hub_id}/{self.revision}/{name}"
            self.mirror.put(there, body)
            there += f"?etag=%22{entry['blobId']}%22"
        self.mirror.put(self.file(name), status=302 if large else 307, headers={"Location": there})

    def tell(self, **how: Any) -> None:
        """Answers with `siblings`, or `how` instead."""
        listing = {"id": self.hub_id, "sha": self.revision, "siblings": [*self.siblings.values()]}
        self.mirror.put(self.api, **({"body": json.dumps(listing).encode()} | how))

    def file(self, name: str) -> str:
        return f"/{self.hub_id}/resolve/{self.revision}/{name}"


@pytest.fixture
def hub(mirror: Mirror, encoder: Path, work: Workspace) -> Hub:
    """Serves `encoder`; the workspace takes it from there."""
    hub = Hub(mirror, encoder)
    work.section["encoder"] |= {"hub_id": hub.hub_id, "revision": hub.revision, "folder": None}
    return hub


@pytest.fixture
def refused(tmp_path):
    """The error of the real parameters with `old` replaced by `new`, without file and lines."""

    def refused(section, *changes):
        text = REAL
        for old, new in changes:
            text, count = re.subn(old, new, text, flags=re.MULTILINE)
            assert count == 1, old
        file = tmp_path / "params.yaml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(StageError) as error:
            read(section, file, whole=section is Params)
        message = str(error.value)
        assert "\n" not in message
        assert message.startswith(f"{file}: ")
        return re.sub(r"(^|; )line \d+: ", r"\1", message.removeprefix(f"{file}: "))

    return refused


@pytest.fixture
def fit(tiny, tmp_path):
    """Trains with changed parameters, into a folder of its own; `fit.folder` is the last."""

    def fit(encoder=tiny.encoder, **changes):
        fit.folder = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        measured = train(
            tiny.params.train.model_copy(update=changes),
            tiny.aligned,
            encoder,
            fit.folder / "ner",
            fit.folder / "train.json",
            fit.folder / "train.csv",
        )
        return measured, json.loads((fit.folder / "train.json").read_text()), curve(fit.folder)

    return fit


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """The folder of a family's tiny encoder, see `tests.support.families`; tests change nothing."""
    from tests.support.families import make_family

    def family(name):
        parent = once(
            tmp_path_factory, f"family-{name}", lambda path: make_family(name, path / "e")
        )
        return parent / "e"

    return family
