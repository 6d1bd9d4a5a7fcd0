import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForMaskedLM, BertConfig, BertForMaskedLM, BertModel

from stages.contract.errors import StageError
from stages.model.device import choose_bf16, choose_device, make_repeatable
from stages.model.tagger import forward_of, load_tagger, new_masked_lm, new_tagger
from stages.text.labels import Labels
from tests.invented import write_encoder

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


@pytest.fixture
def labels(tiny):
    return Labels.read(tiny.aligned)


@pytest.fixture
def pretrained(tmp_path):
    """An encoder with weights in half precision, as the hub has many."""
    folder = write_encoder(tmp_path / "encoder")
    BertModel(BertConfig.from_pretrained(folder)).half().save_pretrained(folder)
    return folder


def same(model, weights):
    ours = model.base_model.state_dict()
    assert set(ours) == {name for name in weights if not name.startswith("pooler.")}
    return all(torch.equal(ours[name], weights[name].float()) for name in ours)


def test_auto_takes_the_gpu_if_there_is_one():
    assert choose_device("auto", "train.device").type == (
        "cuda" if torch.cuda.is_available() else "cpu"
    )
    assert choose_device("cpu", "train.device") == CPU


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_the_cpu_computes_in_fp32(precision):
    assert choose_bf16(precision, CPU) is False


def test_the_weights_of_the_encoder_are_used(pretrained, labels):
    model = new_tagger(pretrained, labels)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert same(model, load_file(pretrained / "model.safetensors"))
    assert model.config.id2label == dict(enumerate(labels.tags))


def test_also_those_of_a_model_with_another_head(pretrained, labels):
    torch.manual_seed(9)
    other = BertForMaskedLM(BertConfig.from_pretrained(pretrained))
    other.save_pretrained(pretrained)
    assert same(new_tagger(pretrained, labels), other.bert.state_dict())


def test_the_head_is_fresh_and_seeded(pretrained, labels):
    heads = []
    for seed in (1, 1, 2):
        make_repeatable(seed, 1, deterministic=True)
        heads.append(new_tagger(pretrained, labels).classifier.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_an_encoder_without_weights_starts_from_random_ones(tmp_path, labels):
    folder = write_encoder(tmp_path / "encoder")
    make_repeatable(1, 1, deterministic=True)
    first, second = new_tagger(folder, labels), new_tagger(folder, labels)
    assert not same(first, second.base_model.state_dict())


@pytest.mark.parametrize("wanted", [None, 0.0, 0.3])
def test_the_attention_dropout_is_the_encoders_unless_it_is_set(pretrained, labels, wanted):
    for model in (new_tagger(pretrained, labels, wanted), new_masked_lm(pretrained, wanted)):
        [rate] = {layer.attention.self.dropout.p for layer in model.bert.encoder.layer}
        assert rate == (0.1 if wanted is None else wanted)


def test_attention_dropout_of_a_family_without_it_is_refused(tmp_path, labels):
    folder = tmp_path / "encoder"
    AutoConfig.for_model("fnet", vocab_size=30).save_pretrained(folder)
    for make in (lambda: new_tagger(folder, labels, 0.0), lambda: new_masked_lm(folder, 0.0)):
        with pytest.raises(StageError, match="type fnet take no attention dropout: set train"):
            make()


def test_a_pickle_is_never_read(pretrained, labels):
    weights = load_file(pretrained / "model.safetensors")
    torch.save({name: w + 1 for name, w in weights.items()}, pretrained / "pytorch_model.bin")
    assert same(new_tagger(pretrained, labels), weights)
    (pretrained / "model.safetensors").unlink()
    with pytest.raises(StageError, match="has its weights as a pickle only"):
        new_tagger(pretrained, labels)


def test_weights_of_another_model_are_refused(pretrained, labels):
    """Also before masked language modelling, which would train a random layer."""
    path = pretrained / "model.safetensors"
    weights = load_file(path)
    left = {name: w for name, w in weights.items() if "attention" not in name}
    save_file(left, path, metadata={"format": "pt"})
    for made in (lambda: new_tagger(pretrained, labels), lambda: new_masked_lm(pretrained)):
        with pytest.raises(StageError) as error:
            made()
        assert str(error.value) == (
            f"the weights in {pretrained} lack {len(weights) - len(left)} tensors that its"
            " config.json asks for, bert.encoder.layer.0.attention.output.LayerNorm.bias among"
            " them: take both from one model"
        )


def test_a_layer_that_the_weights_lack_is_refused(family, labels, tmp_path):
    """Of an encoder in shards, as of one in a file."""
    folder = shutil.copytree(family("DistilBERT"), tmp_path / "e")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_layers": 3}))
    whole = AutoModelForMaskedLM.from_pretrained(family("DistilBERT"))
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(tmp_path / "shards", max_shard_size="40KB")
    for path in (tmp_path / "shards").glob("model*"):
        shutil.copy(path, folder)
    assert (folder / "model.safetensors.index.json").is_file()
    for made in (lambda: new_tagger(folder, labels), lambda: new_masked_lm(folder)):
        with pytest.raises(
            StageError, match=r"lack 16 tensors .* distilbert\.transformer\.layer\.2"
        ):
            made()
    (folder / "config.json").write_text(json.dumps(config))
    assert same(new_tagger(folder, labels), whole.distilbert.state_dict())


def test_a_model_that_train_has_not_written(tiny, tmp_path):
    shutil.copytree(tiny.ner, tmp_path / "ner")
    (tmp_path / "ner/model.safetensors").unlink()
    with pytest.raises(StageError) as error:
        load_tagger(tmp_path / "ner", CPU)
    assert str(error.value) == (
        f"{tmp_path}/ner holds no model.safetensors: run `dvc repro train` first"
    )


def test_padding_changes_no_logit(tiny):
    forward = forward_of(load_tagger(tiny.ner, CPU))
    ids = torch.randint(5, 60, (3, 20)).numpy()
    mask = (torch.arange(20) < torch.tensor([[20], [11], [3]])).long().numpy()
    logits = forward(ids, mask)
    assert logits.shape == (3, 20, 7)
    for row, length in enumerate((20, 11, 3)):
        alone = forward(ids[row : row + 1, :length], mask[row : row + 1, :length])
        assert logits[row, :length] == pytest.approx(alone[0], abs=1e-5)
