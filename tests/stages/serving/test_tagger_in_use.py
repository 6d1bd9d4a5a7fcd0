"""The tagger as a server has it: light, shared by threads, its memory bounded."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from stages.contract.errors import StageError
from stages.onnx_export.session import CPU, CUDA, has_cuda, open_session
from stages.serving.tagger import Tagger
from tests.conftest import ROOT
from tests.invented import text_of

ALONE = """
import json, resource, sys, time
from pathlib import Path
from stages.serving.tagger import Tagger

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

tagger = Tagger(Path(sys.argv[1]), cpu_threads=1)
sentence = "记者从银厂得知李静伟已经回到海城，"
short = tagger([sentence])
before_mib, started = peak_mib(), time.process_time()
[found, *rest] = tagger([sentence * 6_000, *[sentence] * 200])
json.dump({
    "provider": tagger.provider,
    "characters": len(sentence * 6_000),
    "entities": len(found),
    "last": found[-1].end,
    "rest": {len(row) for row in rest} == {len(short[0])},
    "seconds": time.process_time() - started,
    "growth_mib": peak_mib() - before_mib,
    "imported": sorted({name.split(".")[0] for name in sys.modules}),
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def alone(tiny):
    """What a process says that only opens the tagger and gives it 100,000 characters."""
    process = subprocess.run(
        [sys.executable, "-c", ALONE, tiny.onnx],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stderr == "" or has_cuda()
    return json.loads(process.stdout)  # nothing else is printed


def test_it_needs_neither_torch_nor_transformers(alone):
    assert "onnxruntime" in alone["imported"]
    heavy = {"torch", "transformers", "datasets", "pandas", "pyarrow", "seqeval", "sklearn", "onnx"}
    assert heavy & set(alone["imported"]) == set()


def test_a_long_text_among_short_ones_is_bounded(alone):
    assert alone["characters"] > 100_000
    assert alone["entities"] > 17_000
    assert alone["last"] > 100_000
    assert alone["rest"]
    assert alone["growth_mib"] < 200
    assert alone["seconds"] < 30


def test_the_provider_is_told(alone):
    assert alone["provider"] in ([CUDA, CPU] if has_cuda() else [CPU])


def test_threads_share_one(tiny):
    tagger = Tagger(tiny.onnx, cpu_threads=1)
    texts = [text_of(sentence) for sentence in tiny.test[2:50]] + ["①ﷺ👍", ""]
    expected = [tagger([text]) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        # A tagger that no thread has used yet, so that they fill its memory of cells together.
        fresh = Tagger(tiny.onnx, cpu_threads=1)
        for _ in range(4):
            assert list(pool.map(lambda text: fresh([text]), texts)) == expected


def test_a_folder_that_export_has_not_written(tmp_path):
    with pytest.raises(StageError) as error:
        Tagger(tmp_path)
    assert str(error.value) == f"{tmp_path}/labels.json is not here: run `dvc repro` first"


def test_asking_for_cuda_prints_nothing_on_standard_output(tiny, capfd):
    session = open_session(tiny.onnx / "model.onnx", cuda=True, cpu_threads=1)
    assert session.get_providers() in ([[CUDA, CPU], [CPU]] if has_cuda() else [[CPU]])
    assert capfd.readouterr().out == ""
