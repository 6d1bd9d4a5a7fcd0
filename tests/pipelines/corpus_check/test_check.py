"""`check` on small corpora of a user's own, as the command prints it."""

import json
import shutil

import psutil
import pytest
import yaml

from pipelines.corpus_check import pin
from stages.contract.hashing import digests
from tests.conftest import ROOT
from tests.pipelines.standin import pipelines
from tests.stages.tiny import bio, tagged

DISHES = ("黄鱼", "米粥", "黄鱼")
TRAIN = [tagged(f"我在平安馆吃{dish}。", (2, 5, "SHOP"), (6, 8, "DISH")) for dish in DISHES]
TEST = [tagged("江水退了", (0, 2, "SHOP"))]
OWN = """\
# Our restaurants.
download:
  train: {sources: [corpus/train.txt]} # the first half
  dev: null
  test:
    # The second half.
    sources: [corpus/test.txt]
  encoder: {hub_id: null, revision: null, folder: encoder, from_scratch: true}
align: {types: null, dev_sentences: 1, dev_block_sentences: 1}
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A project with an overlay, two corpus files of the user's and the sample's encoder."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "samples/encoder", tmp_path / "encoder")
    (tmp_path / "corpus").mkdir()
    for name, rows in (("train", TRAIN), ("test", TEST)):
        (tmp_path / f"corpus/{name}.txt").write_text(bio(*rows), encoding="utf-8")
    (tmp_path / "own.yaml").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def pinned(own):
    """That project, its overlay with sizes and hashes."""
    contents = {split: digests(own / f"corpus/{split}.txt") for split in ("train", "test")}
    pin.write({"own.yaml": own / "own.yaml"}, contents)
    return own


@pytest.fixture
def check(own, command):
    """Gives its exit code and fields; it writes nothing unless asked."""

    def check(*options):
        before = files(own)
        code, out, err = command("check", "--params", "own.yaml", *options, "--json")
        fields = json.loads(out)
        assert (code, err, out.count("\n")) == (fields["exit_code"], "", 1)
        assert before == files(own) or "--write" in options
        return fields

    return check


def test_write_pins_the_files_and_then_all_is_well(own, check, command):
    wrong = check()
    assert (wrong["exit_code"], wrong["errors"]) == (1, [])
    found = digests(own / "corpus/train.txt")
    train = wrong["files"]["train"]
    assert train["difference"] == f"bytes {found['bytes']}, own.yaml line 3 expects 14037265"
    assert (train["name"], train["found"]) == ("corpus/train.txt", found)
    written = check("--write")
    assert (written["exit_code"], written["written"]) == (0, ["own.yaml"])
    text = (own / "own.yaml").read_text("utf-8")
    assert f"[corpus/train.txt], bytes: {found['bytes']}, sha256: " in text
    assert [line for line in text.splitlines() if "#" in line] == [
        "# Our restaurants.",
        next(line for line in text.splitlines() if line.endswith("} # the first half")),
        "    # The second half.",
    ]
    assert check("--write")["written"] == []
    code, out, _ = command("check", "--params", "own.yaml")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "train: corpus/train.txt, named at own.yaml line 3")
    assert f"  sha256   {found['sha256']}  (the same in params)" in lines
    assert "  我在[平安馆 SHOP]吃[黄鱼 DISH]。" in lines


def test_a_file_that_changed_under_its_hash(pinned, check):
    """`dvc repro` would train on the old content."""
    with (pinned / "corpus/train.txt").open("a") as file:
        file.write("\n了\tO\n")
    found = check()
    assert found["exit_code"] == 1
    train = yaml.safe_load((pinned / "own.yaml").read_text("utf-8"))["download"]["train"]
    assert found["files"]["train"]["expected"].items() <= train.items()
    assert found["files"]["train"]["found"] == digests(pinned / "corpus/train.txt")


def test_what_it_shows(pinned, check):
    found = check()
    assert found["exit_code"] == 0
    sentence = "我在[平安馆 SHOP]吃[{} DISH]。"
    assert found["sentences"] == [sentence.format(dish) for dish in DISHES]
    assert found["window_tokens"] == 128
    sentences = {split: figures["sentences"] for split, figures in found["splits"].items()}
    assert sentences["train"] + sentences["dev"] == 3
    assert found["splits"]["test"]["entities"] == {"SHOP": 1}
    assert found["splits"]["test"]["longest_tokens"] == 4
    assert found["not_looked_at"] == []
    said = [warning["message"] for warning in found["warnings"]]
    assert "1 of 3 train sentences repeat an earlier one" in said


MISTAKES = {
    "key": (
        "types:",
        "typs:",
        "own.yaml line 12: align.typs: there is no such key, did you mean t",
    ),
    "file": (
        "corpus/test",
        "corpora/test",
        "own.yaml line 10: corpora/test.txt is not there: {}/corpora/test.txt is not a file",
    ),
    "folder": ("corpus/test.txt", "corpus", "/corpus is a folder; `python -m pipelines convert` r"),
    "variable": ("corpus/test", "$NER_NO/test", "own.yaml line 10: $NER_NO/test.txt: that env"),
    "encoder": ("folder: encoder", "folder: encodr", "folder encodr: {}/encodr is not a folder"),
    "weights": ("scratch: true", "scratch: false", "folder encoder has no model.safetensors"),
    "dev": ("dev_sentences: 1", "dev_sentences: 9", "train has 3 sentences, too few to hold out"),
    "window": ("align: {", "align: {window_tokens: 9999, ", "but the encoder in encoder takes at"),
    "type": ("types: null", "types: [SHOP]", "corpus/train.txt:7: unknown tag 'B-DISH'"),
}


@pytest.mark.parametrize(("old", "new", "error"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_where_the_user_wrote_it(pinned, check, old, new, error):
    text = (pinned / "own.yaml").read_text("utf-8")
    assert text.count(old) == 1
    (pinned / "own.yaml").write_text(text.replace(old, new), encoding="utf-8")
    found = check()
    [message] = found["errors"] if "errors" in found else [found["error"]]
    assert error.format(pinned) in message
    assert found["exit_code"] == 1


def test_a_growing_source_is_read_as_a_run_would_and_taken_by_write(own, check, pinned):
    (own / "labels").mkdir()
    for name, rows in (("a.bio", [*TEST, *TRAIN[:1]]), ("b.bio", TRAIN[1:])):
        (own / "labels" / name).write_text(bio(*rows), encoding="utf-8")
    (own / "labels/half.jsonl").write_text("half", encoding="utf-8")
    text = (own / "own.yaml").read_text(encoding="utf-8")
    text = text.replace("types: null", "types: [SHOP, DISH]").replace(
        "  dev: null\n",
        "  dev: null\n  growing: {source: labels, broken_share_max: 0.5, settled_s: 0}\n",
    )
    (own / "own.yaml").write_text(text, encoding="utf-8")
    found = check()
    assert (found["exit_code"], found["errors"]) == (0, [])
    assert found["growing"] == "Growing source labels: 2 files, 4 sentences; 1 broken"
    [left_out] = found["left_out"]
    assert left_out.startswith("half.jsonl of the growing source is broken: half.jsonl:1: not JSON")
    # dev has the repeated sentence, and what was added repeats it too.
    assert found["splits"]["dev"]["sentences"] == found["splits"]["train"]["sentences"] == 2
    assert any("1 of 4 sentences of the growing" in w["message"] for w in found["warnings"])
    assert not (own / "inputs").exists()
    assert check("--write")["exit_code"] == 0
    assert len(list((own / "inputs/growing").glob("*.bio"))) == 2
    (own / "labels").rename(own / "elsewhere")
    [error] = check()["errors"]
    assert error.endswith("/labels is not a folder; create it, or correct the path")
    (own / "own.yaml").write_text(text.replace("source: labels", "source: s3://b/c"), "utf-8")
    assert "growing: s3://b/c is a bucket; a run lists it" in check()["not_looked_at"]


def test_a_mistake_costs_little_time_and_no_traceback(own):
    (own / "corpus/train.txt").write_text("我\tO\n在 O\n", encoding="utf-8")
    before = psutil.Process().cpu_times().children_user
    done = pipelines(own, "check", "--params", "own.yaml")
    assert psutil.Process().cpu_times().children_user - before < 2
    assert (done.returncode, done.stderr) == (1, "")
    assert "\nError: corpus/train.txt:2: 1 columns in '在 O', but align.conll" in done.stdout


def test_repairs_have_the_users_own_name(own, check):
    train = (own / "corpus/train.txt").read_text("utf-8")
    (own / "corpus/train.txt").write_text(train.replace("B-SHOP", "I-SHOP"), encoding="utf-8")
    found = check()
    places = [f"corpus/train.txt:{line}" for line in (3, 13, 23)]
    assert found["repaired"]["train"] == {"stray_i": 3}
    assert found["repaired_first"]["train"] == {"stray_i": places}
    said = [warning["message"] for warning in found["warnings"]]
    assert "3 tags or spans of train were repaired, which has 6 entities: stray_i 3" in said


@pytest.mark.parametrize("folder", ["corpus", "msra"])  # the second in older runs
def test_of_addresses_it_reads_what_was_fetched(own, check, folder):
    """As `download` leaves it, here or in a run's workspace."""
    content = digests(own / "corpus/train.txt")
    pins = {"train": content, "test": digests(own / "corpus/test.txt")}
    hub = {"hub_id": "someone/bert", "revision": "0" * 40}
    section = {split: {"sources": [f"https://example.org/{split}"]} | pins[split] for split in pins}
    values = yaml.safe_load(OWN)
    values["download"] = section | {"encoder": hub | {"folder": None, "from_scratch": False}}
    (own / "own.yaml").write_text(yaml.safe_dump(values))
    nothing = check()
    assert (nothing["exit_code"], nothing["files"], nothing["splits"]) == (0, {}, {})
    assert nothing["not_looked_at"][0] == (
        "train: https://example.org/train is not on this machine; `dvc repro download` fetches it"
    )
    data = own / ".runs/20260101T000000Z-aaaaaa/data"
    shutil.copytree(own / "corpus", data / folder)
    (data / folder / "source.json").write_text(json.dumps(pins | {"encoder": {"from": "folder"}}))
    found = check()
    [unknown] = found["not_looked_at"]
    assert unknown.startswith("unknown characters and token lengths: someone/bert is not on this")
    assert found["splits"]["test"] == {"sentences": 1, "characters": 4, "entities": {"SHOP": 1}}
    assert found["files"]["train"]["name"] == f"{data.relative_to(own)}/{folder}/train.txt"
    (data / folder / "source.json").write_text(json.dumps(pins | {"encoder": {"from": hub}}))
    shutil.copytree(own / "encoder", data / "encoder")
    assert check()["not_looked_at"] == []


def test_plain_text_is_found_pinned_and_read(pinned, check):
    (pinned / "news.txt").write_text("我在平安馆。\n", encoding="utf-8")
    pins = f"bytes: null, git_blob: null, sha256: {'a' * 64}"
    own = (pinned / "own.yaml").read_text(encoding="utf-8")
    text = f"download:\n  text: [{{sources: [news.txt], {pins}}}]\n"
    (pinned / "own.yaml").write_text(own.replace("download:\n", text), encoding="utf-8")
    found = check()
    assert found["files"]["text.0"]["place"] == "own.yaml line 3"
    assert found["files"]["text.0"]["difference"].startswith("sha256 ")
    assert found["exit_code"] == 1
    assert check("--write")["written"] == ["own.yaml"]
    found = check()
    assert (found["exit_code"], found["files"]["text.0"]["difference"]) == (0, "")
    assert [*found["splits"]] == ["train", "dev", "test"]
    (pinned / "news.txt").write_bytes("京".encode("gb18030"))
    assert [error for error in check()["errors"] if error.startswith("news.txt:1: not UTF-8")]
