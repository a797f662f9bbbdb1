"""Momentum made orthogonal."""

import pytest
import torch
from torch import nn

from mova.kernels.cpu_attention import multiplies_bfloat16
from mova.train.loop import muon
from mova.train.loop.muon import Muon, orthogonalise


@pytest.fixture(autouse=True)
def in_float32(monkeypatch):
    """Exact comparisons, on processors that multiply bfloat16 as well."""
    monkeypatch.setattr(muon, "multiplies_bfloat16", lambda: False)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8), (24, 96)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_singular_values_come_near_one_whatever_the_scale(shape, scale):
    update = orthogonalise(scale * random(1, *shape))[0]
    values = torch.linalg.svdvals(update)
    assert values.min() > 0.3 if shape[0] == shape[1] else values.min() > 0.65
    assert values.max() < 1.35


@pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor has no bfloat16 products")
def test_in_bfloat16_the_update_points_the_same_way(monkeypatch):
    matrices = random(4, 24, 96)
    exact = orthogonalise(matrices)
    monkeypatch.setattr(muon, "multiplies_bfloat16", lambda: True)
    rounded = orthogonalise(matrices)
    assert rounded.dtype is torch.float32
    assert not torch.equal(rounded, exact)
    assert torch.cosine_similarity(rounded.flatten(1), exact.flatten(1)).min() > 0.99


def test_directions_are_those_of_the_matrix():
    matrix = random(12, 20)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    core = left.T @ orthogonalise(matrix[None])[0] @ right.T
    off_diagonal = core - core.diag().diag()
    assert off_diagonal.abs().max() < 1e-3
    assert core.diag().min() > 0


def test_a_batch_gives_what_each_matrix_gives_alone():
    matrices = random(5, 12, 30)
    together = orthogonalise(matrices)
    alone = torch.cat([orthogonalise(matrix[None]) for matrix in matrices])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_parameters_of_one_shape_step_as_they_would_alone():
    """The kernel and the matrix flatten to the same shape and share a batch."""
    shapes = [(6, 8), (6, 8), (6, 2, 2, 2)]
    joint = [nn.Parameter(random(*shape, seed=i)) for i, shape in enumerate(shapes)]
    apart = [nn.Parameter(p.detach().clone()) for p in joint]
    optimizers = [Muon(joint), *(Muon([p]) for p in apart)]
    for step in range(3):
        for members in (joint, apart):
            for index, parameter in enumerate(members):
                parameter.grad = random(*parameter.shape, seed=100 + 10 * step + index)
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(joint, apart, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_the_first_step_is_the_scaled_orthogonal_gradient_after_decay():
    parameter = nn.Parameter(random(10, 4))
    before, gradient = parameter.detach().clone(), random(10, 4, seed=1)
    parameter.grad = gradient.clone()
    Muon([parameter], lr=0.1, weight_decay=0.5).step()
    expected = before * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 10**0.5 * orthogonalise(gradient[None])[0]
    torch.testing.assert_close(parameter.detach(), expected, atol=1e-5, rtol=1e-4)


def test_parameters_without_a_gradient_stay():
    still, moved = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3, 3))
    moved.grad = torch.eye(3)
    Muon([still, moved]).step()
    assert torch.equal(still, torch.ones(3, 3))
    assert not torch.equal(moved, torch.ones(3, 3))


def test_a_closure_is_called_and_its_loss_returned():
    parameter = nn.Parameter(torch.ones(2, 2))
    assert Muon([parameter]).step(lambda: 3.0) == 3.0


def test_a_linear_map_is_learned():
    target, points = random(8, 16), random(64, 16, seed=1)
    layer = nn.Linear(16, 8, bias=False)
    optimizer = Muon(layer.parameters(), lr=0.3)
    losses = []
    for step in range(120):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 120)
        optimizer.zero_grad()
        loss = (layer(points) - points @ target.T).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-3 * losses[0]
