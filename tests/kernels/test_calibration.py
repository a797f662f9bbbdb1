"""Products chosen by measurement: the faster one, a tie as before, once for each machine."""

import math

import pytest
import torch
from torch import nn

from mova.kernels import calibration
from mova.kernels.calibration import choose_linears, fastest_products, machine_name, shape_classes
from mova.kernels.linear_choice import ChoiceFile, LinearChoice, ShapeClass

CLASS = ShapeClass.of(48, 32, has_gelu=False, rows="few")


class FakeTime:
    """A clock that products move; beside each other's calls now and then something else takes time."""

    def __init__(self, **seconds):
        self.now, self.seconds, self.calls = 0.0, seconds, 0

    def product(self, name):
        def multiply(*_):
            self.calls += 1
            self.now += self.seconds[name] * (5 if self.calls % 3 == 0 else 1)

        return multiply

    def choose(self, one=CLASS):
        products = {name: self.product(name) for name in self.seconds}
        # One call is measured, not many: then each one's best is that without anything beside it.
        wide = one._replace(width=2048, out=2048)
        return fastest_products([wide], products, clock=lambda: self.now)[wide]


@pytest.fixture
def plain_is_onednn(monkeypatch):
    monkeypatch.setattr(calibration, "plain_uses_onednn", lambda: True)


@pytest.fixture
def plain_is_torch(monkeypatch):
    monkeypatch.setattr(calibration, "plain_uses_onednn", lambda: False)


@pytest.mark.usefixtures("plain_is_onednn")
@pytest.mark.parametrize(("torch_s", "taken"), [(0.5, "torch"), (0.96, "torch"), (0.98, "onednn"), (2.0, "onednn")])
def test_the_faster_product_is_taken_and_a_tie_keeps_onednn(torch_s, taken):
    assert FakeTime(torch=torch_s, onednn=1.0).choose() == taken


@pytest.mark.usefixtures("plain_is_torch")
@pytest.mark.parametrize(("onednn_s", "taken"), [(0.5, "onednn"), (0.98, "torch"), (1.0, "torch")])
def test_without_avx512_a_tie_keeps_torch(onednn_s, taken):
    assert FakeTime(torch=1.0, onednn=onednn_s).choose() == taken


def test_small_products_are_repeated_for_the_clock_and_large_ones_are_cut():
    rows = []

    def multiply(x, *_):
        rows.append(x.shape[-2])

    wide = ShapeClass.of(5120, 13824, has_gelu=False, rows="many")
    fastest_products([wide], {"torch": multiply, "onednn": multiply}, clock=lambda: 0.0)
    assert len(rows) == 8
    assert max(rows) * 2 * 2048**2 <= 10**9
    rows.clear()
    fastest_products([CLASS], {"torch": multiply, "onednn": multiply}, clock=lambda: 0.0)
    assert len(rows) > 50


def test_the_classes_of_a_model_are_those_of_its_layers():
    block = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
    names = [str(one) for one in shape_classes([block, nn.Linear(8, 16), nn.Linear(8, 16)])]
    assert sorted(names) == sorted(
        f"{shape} {rows}" for shape in ("8x16", "8x16+gelu", "16x8") for rows in ("few", "many")
    )


def all_of(product, counted):
    def measure(classes):
        counted.extend(classes)
        return dict.fromkeys(classes, product)

    return measure


def test_what_is_known_of_a_machine_is_not_measured_again(tmp_path):
    file, measured = ChoiceFile(tmp_path), []
    chosen = choose_linears([nn.Linear(8, 16)], file=file, measure=all_of("torch", measured))
    assert chosen == LinearChoice(machine_name(), {"8x16 few": "torch", "8x16 many": "torch"})
    measured.clear()
    more = choose_linears([nn.Linear(8, 16), nn.Linear(4, 4)], file=file, measure=all_of("onednn", measured))
    assert [str(one) for one in measured] == ["4x4 few", "4x4 many"]
    assert more.products == chosen.products | {"4x4 few": "onednn", "4x4 many": "onednn"}


def test_another_processor_is_measured_anew(tmp_path, monkeypatch):
    file, measured = ChoiceFile(tmp_path), []
    here = choose_linears([nn.Linear(8, 16)], file=file, measure=all_of("torch", measured))
    monkeypatch.setattr(calibration, "processor_name", lambda **_: "another processor")
    measured.clear()
    there = choose_linears([nn.Linear(8, 16)], here, file=file, measure=all_of("onednn", measured))
    assert len(measured) == 2
    assert set(there.products.values()) == {"onednn"}
    assert there.machine.startswith("another processor, ")


def test_more_threads_are_another_machine():
    before, threads = machine_name(), torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert machine_name() != before
    finally:
        torch.set_num_threads(threads)


def test_a_choice_of_this_machine_is_repeated_where_the_file_is_gone(tmp_path):
    before = LinearChoice(machine_name(), {"8x16 few": "onednn", "8x16 many": "torch"})
    chosen = choose_linears([nn.Linear(8, 16)], before, file=ChoiceFile(tmp_path), measure=all_of("torch", []))
    assert chosen == before


def test_it_measures_this_machine_with_what_torch_has():
    classes = [CLASS, ShapeClass.of(48, 32, has_gelu=True, rows="many")]
    found = fastest_products(classes)
    assert list(found) == classes
    assert set(found.values()) <= {"torch", "onednn"}
    times = calibration._best_times(CLASS, calibration._products(), lambda: math.nan)
    assert "torch" in times


def test_the_processor_has_a_name(tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    info.write_text(
        "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: Some CPU\nstepping\t: 1\n\nmodel name : x"
    )
    monkeypatch.setattr(calibration, "_CPU_INFO", info)
    assert calibration.processor_name() == "Some CPU"
    assert calibration.processor_name(with_model=True) == "Some CPU (25/17/1)"
    monkeypatch.setattr(calibration, "_CPU_INFO", tmp_path / "none")
    assert calibration.processor_name()
