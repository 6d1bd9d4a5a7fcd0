"""The peak of memory, in processes of their own, of reading, splitting and writing a corpus."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stages.tiny import PARAMS, bio, tagged

ALIGN = f"""
import resource, sys
from pathlib import Path
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from stages.corpus.splits import read_split, split_corpora
from stages.params.align import Align
from stages.text.labels import Labels, iob2_tags
from stages.text.tokens import CellEncoder
from stages.text.windows_writer import write_aligned

path, params = Path(sys.argv[1]), Align.model_validate({PARAMS} | {{"format": sys.argv[2]}})
corpus = read_split("train", path, params, path.parent)
splits = split_corpora({{"train": corpus, "test": corpus}}, params)
labels = Labels(iob2_tags(params.types), 32, 8, 1, 2, 0)
encode = CellEncoder(Tokenizer(WordLevel({{"[UNK]": 0, "京": 3}}, "[UNK]")), 0)
for name, split in splits.items():
    out = path.with_name(name)
    write_aligned(split.batches(), labels, encode, out, False, lambda n: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
SENTENCES = {
    "conll": lambda number: bio(tagged(f"{number:08}在北京大学" * 3, (9, 13, "ORG"))) + "\n",
    "jsonl": lambda number: f'{{"text": "{number:08}在北京大学", "label": [[9, 13, "ORG"]]}}\n',
}


@pytest.mark.slow  # nine seconds; benchmarks/growth.py has a hundred times
@pytest.mark.parametrize("format_", SENTENCES)
def test_five_times_the_corpus_takes_no_more_memory(tmp_path, format_):
    def peak_mb(count: int) -> float:
        path = tmp_path / f"{count}.txt"
        path.write_text("".join(map(SENTENCES[format_], range(count))), encoding="utf-8")
        command = [sys.executable, "-c", ALIGN, str(path), format_]
        root = Path(__file__).parents[3]
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=root).stdout)

    assert peak_mb(20_000) < peak_mb(4_000) + 15
