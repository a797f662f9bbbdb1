"""The small text encoder and its tokenizer."""

import re
import string

import pytest
import torch

from mova.codecs.prompt import clean_prompt, load_tokenizer
from mova.toyworld import sample_scene, split_seed
from mova.toyworld.caption import caption
from mova.train.loop.trainer import Trainer
from mova.train.stages.encoders.text_encoder import TextEncoderStage, build_tokenizer


@pytest.fixture(scope="module")
def captions():
    return [caption(sample_scene(split_seed("train", index))) for index in range(300)]


@pytest.fixture(scope="module")
def tokenizer(captions):
    return build_tokenizer(captions, 96)


def test_every_word_of_a_caption_is_one_piece(tokenizer, captions):
    for text in captions[:50]:
        words = re.findall(r"[\w'-]+|[^\w\s]", clean_prompt(text))
        pieces = tokenizer.tokenize(clean_prompt(text))
        assert [piece.removeprefix("▁") for piece in pieces] == words


def test_any_printable_text_can_be_written(tokenizer):
    text = "".join(string.printable.split()) + " Zebra42 ~{}|"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_ids_are_laid_out_as_in_t5_and_do_not_depend_on_the_order_of_the_texts(tokenizer, captions):
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == ["<pad>", "</s>", "<unk>"]
    assert tokenizer.convert_tokens_to_ids("<extra_id_0>") == len(tokenizer) - 1
    assert tokenizer("a ball")["input_ids"][-1] == 1
    assert build_tokenizer(captions[::-1], 96).get_vocab() == tokenizer.get_vocab()


def test_the_tokenizer_on_disk_is_the_one_of_training(ladder_run, tokenizer, captions, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    for text in captions[:20]:
        assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.model_max_length == 96


@pytest.fixture(scope="module")
def make_stage(make_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")

    def make(*changes):
        config = make_config("tiny_text_encoder", folder / "model", "data.num_clips=300", "run.batch_size=16", *changes)
        return TextEncoderStage(config), config

    return make


@pytest.mark.slow
def test_neighbouring_words_are_learned_in_a_few_steps(make_stage, tmp_path):
    """From the library's initial values nothing but word frequencies is learned in 1,500 steps (12 % right)."""
    stage, config = make_stage(
        "run.max_steps=40", "run.log_every=100", "optimizer.warmup_steps=5", "optimizer.schedule=constant",
        "run.ema_decay=0", "optimizer.lr=2e-3",
    )  # fmt: skip
    stage.encoder.eval()
    with torch.no_grad():
        before = stage.validate()
    figures = Trainer(stage, config.run, config.optimizer, tmp_path).run()
    assert before["masked_accuracy"] < 0.1
    assert figures["masked_accuracy"] > 0.5
    assert figures["masked_loss"] < 0.5 * before["masked_loss"]


def test_the_loss_follows_from_seed_and_step_and_leaves_the_global_generator_alone(make_stage):
    """Dropout is on: the library draws it from the global generator."""
    stage, _ = make_stage()
    stage.encoder.train()
    assert stage.encoder.config.dropout_rate > 0
    torch.manual_seed(1)
    first = next(iter(stage.losses(3, 0.0)))["loss"].item()
    after = torch.rand(1).item()
    torch.manual_seed(1)
    assert torch.rand(1).item() == after
    assert next(iter(stage.losses(3, 0.0)))["loss"].item() == first
    assert next(iter(stage.losses(4, 0.0)))["loss"].item() != first


def test_only_words_are_masked_and_only_masked_words_count(make_stage):
    """With almost every word masked the loss is that of guessing; padding and end mark never count."""
    stage, _ = make_stage("mask_share=0.999")
    seen = []
    stage.encoder.register_forward_pre_hook(lambda _, args, kwargs: seen.append((args[0], kwargs)), with_kwargs=True)
    next(iter(stage.losses(0, 0.0)))
    ids, kwargs = seen[0][0], seen[0][1]
    words = kwargs["attention_mask"].bool() & (ids != 1)
    assert (ids[words] == stage.mask_id).float().mean() > 0.98
    assert (ids[~kwargs["attention_mask"].bool()] == 0).all()


def test_every_parameter_is_in_one_group_and_positions_learn_faster(make_stage):
    stage, _ = make_stage()
    groups = {group.name: group for group in stage.parameter_groups()}
    members = [id(p) for group in groups.values() for p in group.parameters]
    everything = [*stage.encoder.parameters(), *stage.head.parameters()]
    assert sorted(members) == sorted(id(p) for p in everything)
    assert groups["positions"].lr_scale == 10.0
    assert len(groups["positions"].parameters) == stage.encoder.config.num_layers
