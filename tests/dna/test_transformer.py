"""The Nucleotide Transformer, on a checkpoint that is true to its format and tiny."""

import json
import shutil
from itertools import product

import numpy as np
import pytest
import torch

from cytonym.dna.transformer import NucleotideTransformer
from cytonym.errors import DataError

transformers = pytest.importorskip("transformers")

SPECIAL = ["<unk>", "<pad>", "<mask>", "<cls>"]
WORDS = ["".join(word) for word in product("ATCG", repeat=6)]
VOCABULARY = [*SPECIAL, *WORDS, "A", "T", "C", "G", "N"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """As the hub has them: 4,105 tokens, absolute positions, token dropout."""
    folder = tmp_path_factory.mktemp("nt")
    config = transformers.EsmConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=1,
        mask_token_id=2,
        position_embedding_type="absolute",
        token_dropout=True,
        emb_layer_norm_before=False,
    )
    torch.manual_seed(0)
    transformers.EsmForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder


def test_the_vocabulary_has_4105_tokens_and_ids_are_its_lines(checkpoint):
    model = NucleotideTransformer(str(checkpoint))
    assert len(model.vocabulary) == 4105
    assert model.tokens("AAAAAAAAAAAT") == [3, 4, 5]
    words = model.tokens("ACGTACGTN" + "acgtac" + "GG")
    want = ["<cls>", "ACGTAC", "G", "T", "N", "ACGTAC", "G", "G"]
    assert [VOCABULARY[one] for one in words] == want
    assert VOCABULARY[model.tokens("R")[1]] == "<unk>"


def test_a_sequence_alone_and_beside_longer_ones_has_the_same_vector(checkpoint):
    rng = np.random.default_rng(0)
    some = ["".join(rng.choice([*"ACGT"], n)) for n in (60, 12, 90, 60, 61)]
    some[3] = some[3][:20] + "NNNN" + some[3][24:]
    model = NucleotideTransformer(str(checkpoint), batch_size=5)
    together = model.embed(some)
    assert together.shape == (5, 32)
    alone = np.concatenate([model.embed([one]) for one in some])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(together - together[0]).max(1)[1:].min() > 1e-3


def test_the_mean_is_that_of_the_library_s_states_without_the_start(checkpoint):
    text = "ACGTACTTTTTTGGGGGG"
    model = NucleotideTransformer(str(checkpoint))
    plain = transformers.EsmForMaskedLM.from_pretrained(checkpoint).eval()
    with torch.inference_mode():
        said = plain(torch.tensor([model.tokens(text)]), output_hidden_states=True).hidden_states
    want = said[-1][0, 1:].mean(0).numpy()
    np.testing.assert_allclose(model.embed([text])[0], want, atol=1e-5)
    first = NucleotideTransformer(str(checkpoint), layer=0, keep_start=True)
    np.testing.assert_allclose(first.embed([text])[0], said[0][0].mean(0).numpy(), atol=1e-5)


def test_float16_is_close_and_both_strands_do_not_depend_on_the_strand(checkpoint):
    text, other = "ACGTACTTTTGCGGGGGG", "CCCCCCGCAAAAGTACGT"
    whole = NucleotideTransformer(str(checkpoint)).embed([text])
    half = NucleotideTransformer(str(checkpoint), half=True).embed([text])
    np.testing.assert_allclose(half, whole, atol=2e-2)
    both = NucleotideTransformer(str(checkpoint), both_strands=True).embed([text, other])
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)


def test_what_cannot_be_read_is_told(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("CYTONYM_OFFLINE", "1")
    with pytest.raises(DataError, match="at most 366 bases"):
        NucleotideTransformer(str(checkpoint)).embed(["A" * 600])
    with pytest.raises(DataError, match=r"lacks config.json, vocab.txt, model.safetensors"):
        NucleotideTransformer(str(tmp_path)).embed(["A" * 60])
    with pytest.raises(DataError, match=r"layers, and layer=99.*\n.*\n.*of 9,996 bases has more"):
        NucleotideTransformer(str(checkpoint), 9996, layer=99).check()
    NucleotideTransformer(str(checkpoint), 60).check()
    with pytest.raises(DataError, match="there is no such folder"):
        NucleotideTransformer("nobody/nothing").embed(["A" * 60])


def test_the_name_changes_with_the_weights_and_with_what_is_read(checkpoint, tmp_path):
    import shutil

    one = NucleotideTransformer(str(checkpoint))
    other = shutil.copytree(checkpoint, tmp_path / "other")
    assert NucleotideTransformer(str(other)).name == one.name
    transformers.EsmForMaskedLM(transformers.EsmConfig.from_pretrained(other)).save_pretrained(
        other
    )
    names = {one.name, NucleotideTransformer(str(other)).name}
    names |= {NucleotideTransformer(str(checkpoint), **way).name for way in WAYS}
    assert len(names) == 2 + len(WAYS)


WAYS = ({"layer": 1}, {"window": 600}, {"keep_start": True}, {"both_strands": True}, {"half": True})


def test_code_beside_the_weights_runs_only_where_its_folder_is_allowed(
    checkpoint, tmp_path, monkeypatch
):
    own, ran = tmp_path / "own", tmp_path / "ran"
    shutil.copytree(checkpoint, own)
    config = json.loads((own / "config.json").read_text())
    config["auto_map"] = {"AutoModelForMaskedLM": "enemy.EsmForMaskedLM"}
    (own / "config.json").write_text(json.dumps(config))
    (own / "enemy.py").write_text(
        f"open({str(ran)!r}, 'w').close()\nfrom transformers import EsmForMaskedLM\n"
    )
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "m"))
    for allowed in (None, "", str(tmp_path), str(checkpoint)):
        if allowed is not None:
            monkeypatch.setenv("CYTONYM_CODE", allowed)
        model = NucleotideTransformer(str(own), 60)
        for ask in (model.check, lambda model=model: model.embed(["A" * 60])):
            with pytest.raises(DataError, match=r"code of its own.*\n.*CYTONYM_CODE=FOLDER"):
                ask()
    assert not ran.exists()
    monkeypatch.setenv("CYTONYM_CODE", str(own))
    NucleotideTransformer(str(own), 60).check()
    found = NucleotideTransformer(str(own), 60).embed(["A" * 60])
    assert ran.exists()
    assert found.shape == (1, 32)
