"""What an encoder says of itself, compared with a forward pass of the whole model."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    ElectraConfig,
    LongformerConfig,
    RobertaConfig,
)

from stages.contract.errors import StageError
from stages.model.encoder import load_tokenizer, special_ids, usable_tokens
from stages.text.tokens import CellEncoder
from tests.conftest import ROOT
from tests.support.families import FAMILIES

pytestmark = pytest.mark.usefixtures("one_thread")
WANTED = 300
# As many as the config of `make_family` has positions for, where another number is not said.
POSITIONS = 130
MOST = {"RoBERTa": 128, "XLM-R": 128, "CamemBERT": 128, "MPNet": 128, "Longformer": 128}
MOST |= {"RoFormer": 128, "DeBERTa-v2": WANTED, "DeBERTa-v3": WANTED}
ROTARY = ("ModernBERT", "EuroBERT")  # 128 were trained, more can be computed


@pytest.mark.parametrize("name", FAMILIES)
def test_the_windows_that_a_family_takes(family, name):
    most = usable_tokens(family(name), WANTED)
    assert most == (128 if name in ROTARY else MOST.get(name, POSITIONS))
    assert usable_tokens(family(name), 20) == 20
    model = AutoModel.from_pretrained(family(name)).eval()
    with torch.inference_mode():
        ids = torch.full((1, most), 9)
        assert model(input_ids=ids).last_hidden_state.shape == (1, most, 32)
        if most < WANTED and name not in ROTARY:
            with pytest.raises((IndexError, RuntimeError)):
                model(input_ids=torch.full((1, most + 1), 9))


@pytest.mark.parametrize(
    ("config", "most"),
    [
        (RobertaConfig(max_position_embeddings=514), 512),
        (RobertaConfig(max_position_embeddings=40, pad_token_id=5), 34),
        (ElectraConfig(), 512),
        (LongformerConfig(max_position_embeddings=4098, attention_window=[512] * 12), 4096),
    ],
    ids=["RoBERTa", "another padding", "ELECTRA", "Longformer"],
)
def test_base_sizes(tmp_path, config, most):
    config.save_pretrained(tmp_path)
    before = torch.random.get_rng_state()
    assert usable_tokens(tmp_path, 8192) == most
    assert torch.equal(torch.random.get_rng_state(), before)


def test_modernbert_takes_8192_tokens(tmp_path):
    AutoConfig.for_model("modernbert").save_pretrained(tmp_path)
    assert usable_tokens(tmp_path, 10_000) == 8192


def test_a_family_of_which_no_forward_pass_works(tmp_path):
    """X-MOD wants to be told the language."""
    AutoConfig.for_model("xmod").save_pretrained(tmp_path)
    assert usable_tokens(tmp_path, 600) == 600


# 京 is not in the vocabularies.
PIECES = {
    "word": ["赵", "州", "[UNK]", "[UNK]", "[UNK]"],
    "piece": ["赵", "州", "<unk>", "<unk>", "<unk>"],
    "bytes": ["èµµ", "å·ŀ", "Ġ", "ä", "º", "¬", "<unk>"],
}
KINDS = {"RoBERTa": "bytes", "Longformer": "bytes", "ModernBERT": "bytes", "EuroBERT": "bytes"}
KINDS |= dict.fromkeys(
    ["XLM-R", "CamemBERT", "ALBERT", "DeBERTa-v2", "DeBERTa-v3", "RemBERT"], "piece"
)
OWN = {
    "DeBERTa-v2": {"<unk>": "[UNK]"},
    "DeBERTa-v3": {"<unk>": "[UNK]"},
    "ModernBERT": {"<unk>": "[UNK]"},
    "EuroBERT": {"<unk>": "<|mask|>"},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_tokens_of_characters(family, name, tmp_path):
    """A token a character, without SentencePiece's space before it; the saved file has the same."""
    tokenizer = load_tokenizer(family(name))
    special = special_ids(tokenizer)
    assert None not in special.values()
    cells = ["赵", "州", " ", "京", "\ud800"]
    ids, first = CellEncoder(tokenizer.backend_tokenizer, special["[UNK]"])(cells)
    kind = KINDS.get(name, "word")
    expected = [OWN.get(name, {}).get(token, token) for token in PIECES[kind]]
    if name == "RemBERT":  # whose SentencePiece keeps a space
        expected[2] = "▁"
    assert tokenizer.convert_ids_to_tokens(ids) == expected
    assert first == ([0, 1, 2, 3, 6] if kind == "bytes" else [0, 1, 2, 3, 4])

    load_tokenizer(family(name)).save_pretrained(tmp_path)
    served = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert CellEncoder(served, special["[UNK]"])(cells) == (ids, first)
    # Between [CLS] and [SEP] as the family's own tokenizer puts them.
    whole = load_tokenizer(family(name))("赵")["input_ids"]
    if name != "RemBERT":  # of which transformers 5.24 forgets them
        assert (whole[0], whole[-1]) == (special["[CLS]"], special["[SEP]"])


@pytest.mark.parametrize(
    ("class_", "says"),
    [("BertJapaneseTokenizer", "lacks a fast version"), ("XLMTokenizer", "cannot be read (")],
)
def test_a_tokenizer_that_has_no_fast_version(family, tmp_path, class_, says):
    encoder = shutil.copytree(family("BERT"), tmp_path / "e")
    (encoder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": class_}))
    with pytest.raises(StageError) as error:
        load_tokenizer(encoder)
    assert str(error.value).startswith(f"the tokenizer in {encoder} {says}")
    assert str(error.value).endswith("; choose another encoder")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["ALBERT", "RoBERTa", "XLM-R"])
def test_a_vocabulary_of_bert_in_another_family(family, tmp_path, name):
    """As Chinese models of ALBERT have it, without a word in tokenizer_config.json."""
    shutil.copy(family(name) / "config.json", tmp_path)
    shutil.copy(family("BERT") / "vocab.txt", tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.get_vocab() == load_tokenizer(family("BERT")).get_vocab()


def test_a_vocabulary_under_another_name(family, tmp_path):
    """transformers 5.24 makes a tokenizer of special tokens alone, and says nothing."""
    encoder = shutil.copytree(family("ALBERT"), tmp_path / "e")
    (encoder / "spiece.model").rename(encoder / "spm.model")
    with pytest.raises(StageError) as error:
        load_tokenizer(encoder)
    assert str(error.value) == (
        f"the tokenizer in {encoder}, of class AlbertTokenizer, lacks spiece.model: rename its"
        " file, name its tokenizer_class in tokenizer_config.json, or choose another encoder"
    )


def test_the_tokenizer_of_bert_is_read_without_torch(family):
    """Whose import would take `align` longer than its work on a small corpus."""
    code = (
        "import sys; from pathlib import Path; from stages.model.encoder import load_tokenizer;"
        "print(load_tokenizer(Path(sys.argv[1])).backend_tokenizer.to_str());"
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(family("BERT"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    auto = AutoTokenizer.from_pretrained(family("BERT"), local_files_only=True)
    assert done.stdout.rstrip("\n") == auto.backend_tokenizer.to_str()
