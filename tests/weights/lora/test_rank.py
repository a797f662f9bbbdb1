"""A LoRA made smaller."""

import pytest
import torch

from mova.errors import ConfigError
from mova.weights.lora.adapters import Lora, LoraLayer
from mova.weights.lora.rank import reduce_rank


def test_a_lora_is_reduced_to_the_singular_values_that_matter_most():
    """Updates of known singular values: 5 and 1 in a small layer, 3 and 2 in one of twice the size."""

    def known(size, values):
        generator = torch.Generator().manual_seed(size)
        up, down = (torch.linalg.qr(torch.randn(size, 2, generator=generator))[0] for _ in range(2))
        return LoraLayer(down.T * torch.tensor(values)[:, None], up, 2.0)

    lora = Lora({"audio_dit": {"small": known(4, [5.0, 1.0])}, "video_dit": {"large": known(8, [3.0, 2.0])}})
    # For each stored number: 25 / 8, 1 / 8, 9 / 16, 4 / 16.
    two = reduce_rank(lora, 8 + 16)
    assert {name: layer.rank for layers in two.layers.values() for name, layer in layers.items()} == {
        "small": 1,
        "large": 1,
    }
    error = torch.linalg.svdvals(two.layers["video_dit"]["large"].update() - lora.layers["video_dit"]["large"].update())
    assert error[:2].tolist() == pytest.approx([2.0, 0.0], abs=1e-5)
    one = reduce_rank(lora, 8 + 15)
    assert set(one.layers) == {"audio_dit"}
    whole = reduce_rank(lora, 10_000)
    for name, layers in lora.layers.items():
        for path, layer in layers.items():
            torch.testing.assert_close(whole.layers[name][path].update(), layer.update())
    with pytest.raises(ConfigError, match="room for the first singular value, got 7; nearest is 8"):
        reduce_rank(lora, 7)
