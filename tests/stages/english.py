"""An invented corpus of English words, and an encoder whose vocabulary has pieces of words."""

import json
from pathlib import Path

PIECES = ["ann", "bo", "##bby", "lum", "##o", "##ians", "met", "in", "port", "the", "##s", ".", "'"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CONFIG = {
    "model_type": "bert",
    "vocab_size": len(SPECIAL) + len(PIECES),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,  # so that random weights find entities of all kinds
}
TEXTS = [
    "Ann met Bobby in Port Lumo.",
    "  The Lumians'  Port\n\tmet Ann...  ",
    "Bobby's Port, in\u00a0Lumo\u3000met\u200bAnn",
    "Ann " * 40,
]


def write_english_encoder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("".join(f"{t}\n" for t in [*SPECIAL, *PIECES]))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": true}'
    )
    return folder
