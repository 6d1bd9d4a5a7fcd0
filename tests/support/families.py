"""Makes a tiny encoder of each family of transformers, with the tokenizer files of its kind."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from tests.invented import CHARACTERS, a_sentence, text_of

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZES |= {"intermediate_size": 64, "max_position_embeddings": 130, "initializer_range": 0.1}
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def make_family(name: str, folder: Path, *, weights: bool = True, **config: Any) -> Path:
    """Writes the encoder `name` of FAMILIES to `folder`; random weights, the same each time.

    Two layers of 32, 128 usable tokens where the family has a limit. `config` goes over
    config.json. The tokenizer knows the corpus of `tests.invented`; its files are those of the
    family's repositories on the hub, so that only some have tokenizer.json.
    """
    folder.mkdir(parents=True)
    own, tokenizer = FAMILIES[name]
    ids = tokenizer(folder)
    values = SIZES | {"pad_token_id": ids["pad"], "bos_token_id": ids["cls"]}
    values |= {"eos_token_id": ids["sep"], "vocab_size": ids["size"]}
    values |= {"cls_token_id": ids["cls"], "sep_token_id": ids["sep"]} | own | config
    if "mask" in ids:
        values.setdefault("mask_token_id", ids["mask"])
    if own["model_type"] == "distilbert":
        values |= {"dim": values["hidden_size"], "hidden_dim": values["intermediate_size"]}
        values |= {"n_layers": values["num_hidden_layers"], "n_heads": 4}
    made = AutoConfig.for_model(**values)
    made.save_pretrained(folder)
    if weights:
        head = own["model_type"] in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            model = (AutoModelForMaskedLM if head else AutoModel).from_config(made)
        model.save_pretrained(folder)
    return folder


def texts(count: int = 200) -> Iterator[str]:
    """Sentences of the invented corpus, to learn a vocabulary from."""
    random = Random(1)  # noqa: S311
    return (text_of(a_sentence(random)) for _ in range(count))


def word_piece(*special: str) -> Callable[[Path], dict[str, int]]:
    """A vocab.txt of characters after the special tokens, in the order of BERT."""

    def write(folder: Path) -> dict[str, int]:
        tokens = [*special, *sorted(CHARACTERS)]
        (folder / "vocab.txt").write_text("".join(f"{t}\n" for t in tokens), encoding="utf-8")
        (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
        return dict(zip(("pad", "unk", "cls", "sep"), range(4), strict=True)) | {
            "size": len(tokens)
        }

    return write


def mpnet(folder: Path) -> dict[str, int]:
    """MPNet's vocab.txt: the names of RoBERTa, but [UNK]."""
    word_piece("<s>", "<pad>", "</s>", "[UNK]", "<mask>")(folder)
    return {"cls": 0, "pad": 1, "sep": 2, "unk": 3, "size": 5 + len(CHARACTERS)}


def _bytes(special: list[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet)
    trainer.show_progress = False
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


def merges(folder: Path) -> dict[str, int]:
    """vocab.json and merges.txt, as RoBERTa has them."""
    tokenizer = _bytes(FAIRSEQ, 400)
    tokenizer.model.save(str(folder))
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 512}')
    return {"cls": 0, "pad": 1, "sep": 2, "unk": 3, "size": tokenizer.get_vocab_size()}


def one_file(special: list[str], **named: str) -> Callable[[Path], dict[str, int]]:
    """tokenizer.json alone, of bytes; its special tokens come after all others."""

    def write(folder: Path) -> dict[str, int]:
        tokenizer = _bytes([], 400)
        tokenizer.add_special_tokens(special)
        first, last = named.get("cls", named.get("bos")), named.get("sep", named.get("eos"))
        ids = {token: tokenizer.token_to_id(token) for token in special}
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}", special_tokens=[(first, ids[first]), (last, ids[last])]
        )
        tokenizer.save(str(folder / "tokenizer.json"))
        values = {f"{kind}_token": token for kind, token in named.items()}
        values |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192}
        (folder / "tokenizer_config.json").write_text(json.dumps(values))
        size = tokenizer.get_vocab_size(with_added_tokens=True)
        rest = {"pad": ids[named["pad"]], "mask": ids[named["mask"]], "size": size}
        return {"cls": ids[first], "sep": ids[last], **rest}

    return write


def sentence_piece(file: str, added: int = 0, **options: Any) -> Callable[[Path], dict[str, int]]:
    """A SentencePiece model alone; transformers adds `added` tokens.

    `fairseq` are the ids that [CLS] and [SEP] then have, where its own are moved.
    """
    fairseq = options.pop("fairseq", None)

    def write(folder: Path) -> dict[str, int]:
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=texts(),
            model_writer=model,
            vocab_size=180,
            hard_vocab_limit=False,
            character_coverage=1.0,
            minloglevel=2,
            **options,
        )
        (folder / file).write_bytes(model.getvalue())
        pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        cls, sep = fairseq or map(pieces.piece_to_id, ("[CLS]", "[SEP]"))
        size = pieces.get_piece_size() + added
        return {"cls": cls, "sep": sep, "pad": 1 if fairseq else 0, "size": size}

    return write


OF_BERT = word_piece(*BERT)
# As the models of ALBERT, RemBERT and DeBERTa on the hub have them: transformers relies on the ids.
SPECIAL: dict[str, Any] = {"pad_id": 0, "control_symbols": ["[CLS]", "[SEP]"]}
SPECIAL |= {"user_defined_symbols": ["[MASK]"], "bos_id": -1}
ALBERT = SPECIAL | {"pad_piece": "<pad>", "unk_id": 1, "eos_id": -1}
REMBERT = SPECIAL | {"pad_piece": "<pad>", "unk_id": 2, "eos_id": 1}
DEBERTA: dict[str, Any] = {"pad_id": 0, "pad_piece": "[PAD]", "unk_id": 3, "unk_piece": "[UNK]"}
DEBERTA |= {"bos_id": 1, "bos_piece": "[CLS]", "eos_id": 2, "eos_piece": "[SEP]"}
LLAMA = ["<|begin_of_text|>", "<|end_of_text|>", "<|mask|>", "<|pad|>"]

FAMILIES: dict[str, tuple[dict[str, Any], Callable[[Path], dict[str, int]]]] = {
    "BERT": ({"model_type": "bert"}, OF_BERT),
    "RoBERTa": ({"model_type": "roberta"}, merges),
    "XLM-R": (
        {"model_type": "xlm-roberta"},
        sentence_piece("sentencepiece.bpe.model", 2, fairseq=(0, 2)),
    ),
    "CamemBERT": (
        {"model_type": "camembert"},
        sentence_piece("sentencepiece.bpe.model", 5, fairseq=(5, 6)),
    ),
    "ELECTRA": ({"model_type": "electra", "embedding_size": 16}, OF_BERT),
    "ERNIE": ({"model_type": "ernie", "use_task_id": True}, OF_BERT),
    "ALBERT": (
        {"model_type": "albert", "embedding_size": 16},
        sentence_piece("spiece.model", **ALBERT),
    ),
    "DistilBERT": ({"model_type": "distilbert"}, OF_BERT),
    "MPNet": ({"model_type": "mpnet"}, mpnet),
    "DeBERTa-v2": (
        {
            "model_type": "deberta-v2",
            "relative_attention": True,
            "position_biased_input": False,
            "pos_att_type": ["p2c", "c2p"],
            "type_vocab_size": 0,
        },
        sentence_piece("spm.model", 1, **DEBERTA),
    ),
    "DeBERTa-v3": (
        {
            "model_type": "deberta-v2",
            "relative_attention": True,
            "position_biased_input": False,
            "pos_att_type": ["p2c", "c2p"],
            "type_vocab_size": 0,
            "position_buckets": 16,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
        sentence_piece("spm.model", 1, **DEBERTA),
    ),
    "ModernBERT": (
        {"model_type": "modernbert", "local_attention": 16, "max_position_embeddings": 128},
        one_file(BERT, pad="[PAD]", unk="[UNK]", cls="[CLS]", sep="[SEP]", mask="[MASK]"),
    ),
    "RoFormer": (
        {"model_type": "roformer", "embedding_size": 16, "max_position_embeddings": 128},
        OF_BERT,
    ),
    "Longformer": ({"model_type": "longformer", "attention_window": [16, 16]}, merges),
    "MegatronBERT": ({"model_type": "megatron-bert"}, OF_BERT),
    "RemBERT": (
        {"model_type": "rembert", "input_embedding_size": 16, "output_embedding_size": 24},
        sentence_piece("sentencepiece.model", **REMBERT),
    ),
    "ConvBERT": ({"model_type": "convbert", "embedding_size": 16}, OF_BERT),
    "EuroBERT": (
        {"model_type": "eurobert", "max_position_embeddings": 128, "num_key_value_heads": 4},
        one_file(LLAMA, bos=LLAMA[0], eos=LLAMA[1], mask=LLAMA[2], pad=LLAMA[3]),
    ),
}
