"""Weights in shards, and pickles."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM

from stages.contract.errors import StageError
from stages.contract.hashing import sha256
from stages.fetching.encoder import fetch_encoder
from stages.fetching.pickled import convert
from tests.conftest import ROOT

INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def shards(family, tmp_path_factory):
    """An encoder whose weights are in several files."""
    folder = shutil.copytree(family("BERT"), tmp_path_factory.mktemp("shards") / "e")
    model = AutoModelForMaskedLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("model-0000*-of-0000*.safetensors"))) > 2
    return folder


@pytest.fixture
def bring(work, tmp_path):
    def bring(folder, **section):
        work.section["encoder"] |= {"folder": str(folder)} | section
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        fetch_encoder(work.params(), tmp_path / "out")
        return tmp_path / "out"

    return bring


def test_all_shards_are_taken(bring, shards):
    there = {path.name for path in shards.iterdir()} - {"generation_config.json"}
    assert {path.name for path in bring(shards).iterdir()} == there
    with pytest.raises(StageError, match=r"has weights, but download.encoder.from_scratch is true"):
        bring(shards, from_scratch=True)


def test_all_shards_of_the_hub_are_brought_with_their_hashes(hub, work, shards, tmp_path):
    hub = type(hub)(hub.mirror, shards)
    env = {"HF_ENDPOINT": hub.mirror.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
    assert work.run(**env) == (0, "")
    source = json.loads((work.path / "data/corpus/source.json").read_text(encoding="utf-8"))
    parts = {path.name: sha256(path) for path in shards.glob("model*")}
    assert parts.items() <= source["encoder"]["sha256"].items()
    # The last of all files, so that a shard that is not there costs no gigabyte.
    last = [path.rpartition("/")[2] for path, _ in hub.mirror.requests][1 - len(parts) :]
    assert last == sorted(parts.keys() - {INDEX})


def test_a_shard_that_the_index_does_not_name_is_left(bring, shards, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "copy")
    (copy / "model-00001-of-00099.safetensors").write_text("of an older version")
    assert not (bring(copy) / "model-00001-of-00099.safetensors").exists()


def test_one_file_is_preferred(bring, shards, family, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "copy")
    shutil.copy(family("BERT") / "model.safetensors", copy)
    assert [path.name for path in bring(copy).glob("model*")] == ["model.safetensors"]


def a_tensor_less(folder, index):
    shard = folder / index["weight_map"]["bert.embeddings.word_embeddings.weight"]
    weights = load_file(shard)
    del weights["bert.embeddings.word_embeddings.weight"]
    save_file(weights, shard)


BREAKS = {
    "a shard less": (
        lambda folder, _: next(folder.glob("model-00002*")).unlink(),
        r"has no model-00002-of-0000\d.safetensors, which model.safetensors.index.json names: copy",
    ),
    "half a shard": (
        lambda folder, _: os.truncate(next(folder.glob("model-00002*")), 20_000),
        r"model-00002-of-0000\d.safetensors is not a complete safetensors file",
    ),
    "a tensor less": (
        a_tensor_less,
        r"safetensors has no bert.embeddings.word_embeddings.weight, which model.safetensors.index",
    ),
    "a path": (
        lambda folder, index: (folder / INDEX).write_text(
            json.dumps({"weight_map": dict.fromkeys(index["weight_map"], "../e/x")})
        ),
        r"has no ../e/x, which model.safetensors.index.json names",
    ),
    "no map": (
        lambda folder, _: (folder / INDEX).write_text('{"metadata": {}}'),
        "model.safetensors.index.json is not JSON with a weight_map: copy it again",
    ),
    "a map of numbers": (
        lambda folder, _: (folder / INDEX).write_text('{"weight_map": {"a": 1}}'),
        "model.safetensors.index.json is not JSON with a weight_map: copy it again",
    ),
    "no index": (lambda folder, _: (folder / INDEX).unlink(), "has no model.safetensors: add it"),
    "more rows": (
        lambda folder, _: (folder / "config.json").write_text(
            (folder / "config.json").read_text().replace('"vocab_size": 83', '"vocab_size": 84')
        ),
        r"word_embeddings.weight in model-0000\d-of-0000\d.safetensors has 83 rows, but vocab_size",
    ),
}


@pytest.mark.parametrize(("change", "says"), BREAKS.values(), ids=BREAKS)
def test_shards_that_are_not_whole(bring, shards, tmp_path, change, says):
    copy = shutil.copytree(shards, tmp_path / "e")
    change(copy, json.loads((copy / INDEX).read_text()))
    with pytest.raises(StageError, match=says):
        bring(copy)


@pytest.fixture
def pickled(family, tmp_path):
    """An encoder with weights as a pickle only, in which tied ones share memory."""
    folder = shutil.copytree(family("BERT"), tmp_path / "it's pickled")
    model = AutoModelForMaskedLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def runs(command, folder, **env):
    """In a shell in which the project's environment is activated."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path} | env
    subprocess.run(["sh", "-c", command], cwd=folder, env=env, check=True)


def test_the_command_against_a_pickle_runs_as_printed(bring, pickled, family):
    with pytest.raises(StageError) as error:
        bring(pickled)
    assert "its weights only as a pickle, which can run any code when loaded: " in str(error.value)
    [command] = str(error.value).split("`")[1::2]
    runs(command, ROOT)
    weights, whole = (
        load_file(bring(folder) / "model.safetensors") for folder in (pickled, family("BERT"))
    )
    assert all(torch.equal(weights[name], tensor) for name, tensor in whole.items())


@pytest.mark.slow  # three processes, one with torch
def test_the_command_for_a_pickle_of_the_hub_runs_as_printed(hub, work, bring, pickled, tmp_path):
    """By the real `hf`, which asks for the size and the commit of each file first."""

    hub = type(hub)(hub.mirror, pickled)
    tree = []
    for name, entry in hub.siblings.items():
        marks = {"X-Repo-Commit": hub.revision, "ETag": f'"{entry["blobId"]}"'}
        hub.mirror.replies[hub.file(name)].headers |= marks
        tree.append({"type": "file", "path": name, "size": entry["size"], "oid": entry["blobId"]})
    listing = json.dumps(tree).encode()
    hub.mirror.put(hub.api.replace("/revision/", "/tree/"), listing)
    env = {"HF_ENDPOINT": hub.mirror.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
    env["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"  # which asks PyPI
    code, said = work.run(**env)
    assert code
    [command] = said.split("`")[1::2]
    folder = said.split("download.encoder.folder: ")[1].split(" ")[0]
    runs(command, work.path, **env, PYTHONPATH=str(ROOT))
    section = {"hub_id": None, "revision": None}
    assert load_file(bring(work.path / folder, **section) / "model.safetensors")


def test_a_pickle_in_parts(pickled, family):
    weights = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    (pickled / "pytorch_model.bin").unlink()
    names = sorted(weights)
    for number, some in enumerate((names[:9], names[9:]), 1):
        part = {name: weights[name].clone() for name in some}
        torch.save(part, pickled / f"pytorch_model-{number:05}-of-00002.bin")
    assert load_file(convert(pickled)).keys() == weights.keys()


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("content", [{"a": Evil()}, b"no pickle"], ids=["code", "another file"])
def test_a_pickle_of_more_than_tensors_runs_nothing(pickled, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = pickled / "pytorch_model.bin"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(StageError, match=r"pytorch_model.bin is broken, or has more than tensors"):
        convert(pickled)
    assert not (tmp_path / "ran").exists()
    assert not (pickled / "model.safetensors").exists()
