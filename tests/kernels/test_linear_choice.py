"""What a machine was found to do best: kept in a file that may be damaged, shared and unwritable."""

import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mova.errors import ConfigError
from mova.files.json_file import as_fields
from mova.kernels.linear_choice import ChoiceFile, LinearChoice, ShapeClass, check_kernels_name

HERE, THERE = "one processor", "another"
PRODUCTS = {"8x16 few": "onednn", "8x16+gelu many": "torch"}


def test_what_was_added_is_read_for_its_machine_only(tmp_path):
    assert ChoiceFile(tmp_path).add(HERE, PRODUCTS) == PRODUCTS
    assert ChoiceFile(tmp_path).read(HERE) == PRODUCTS
    assert ChoiceFile(tmp_path).read(THERE) == {}


def test_of_two_that_measure_at_the_same_time_the_first_counts(tmp_path):
    first = ChoiceFile(tmp_path).add(HERE, {"8x16 few": "onednn"})
    second = ChoiceFile(tmp_path).add(HERE, {"8x16 few": "torch", "8x16 many": "torch"})
    assert first == {"8x16 few": "onednn"}
    assert second == {"8x16 few": "onednn", "8x16 many": "torch"}


def test_all_of_many_writers_at_once_agree(tmp_path):
    taken = []
    shapes = [f"{width}x8 few" for width in range(1, 60)]

    def write(product):
        taken.append(ChoiceFile(tmp_path).add(HERE, dict.fromkeys(shapes, product)))

    threads = [threading.Thread(target=write, args=(product,)) for product in ("torch", "onednn") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one == taken[0] == ChoiceFile(tmp_path).read(HERE) for one in taken)


@given(damage=st.binary(max_size=80), place=st.integers(0, 400), cut=st.integers(0, 60))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_no_error_and_serves_again(tmp_path, damage, place, cut):
    file = ChoiceFile(tmp_path)
    file.path.unlink(missing_ok=True)
    file.add(HERE, PRODUCTS)
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:place] + damage + whole[place + cut :])
    found = ChoiceFile(tmp_path).read(HERE)
    assert all(product in ("torch", "onednn") for product in found.values())
    later = ChoiceFile(tmp_path).add(HERE, {"99x99 few": "torch"})
    assert later == {"99x99 few": "torch"} == {"99x99 few": ChoiceFile(tmp_path).read(HERE)["99x99 few"]}


@pytest.mark.parametrize(
    "line",
    [
        *({"machine": HERE, "shape": shape, "product": "torch"} for shape in ("8x16", "0x8 few", "8x16 some", 3, None)),
        *({"machine": HERE, "shape": "8x16 few", "product": product} for product in ("mkl", 1, None, ["torch"])),
        {"machine": [HERE], "shape": "8x16 few", "product": "torch"},
        [HERE, "8x16 few", "torch"],
        "[" * 100_000,
    ],
)
def test_lines_of_others_are_passed_over(tmp_path, line):
    file = ChoiceFile(tmp_path)
    file.path.write_text(line if isinstance(line, str) else json.dumps(line))
    assert file.read(HERE) == {}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    file = ChoiceFile(tmp_path / "file")
    assert file.add(HERE, PRODUCTS) == PRODUCTS
    assert file.read(HERE) == {}


def test_a_file_without_end_is_begun_anew(tmp_path):
    file = ChoiceFile(tmp_path)
    file.path.write_bytes(b"x" * (2**20 + 1))
    assert file.read(HERE) == {}
    file.add(HERE, PRODUCTS)
    assert file.read(HERE) == PRODUCTS


def test_it_lies_in_the_folder_of_the_users_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ChoiceFile().path.parent == tmp_path / "mova"


def test_a_record_is_read_back_and_a_strange_one_refused():
    choice = LinearChoice(HERE, PRODUCTS)
    record = json.loads(json.dumps(choice.to_record()))
    assert LinearChoice.read(as_fields(record, "clip", error=ConfigError)) == choice
    for strange in ({"8x16 few": "mkl"}, {"8x16": "torch"}, {"8x16 few": None}, [1]):
        with pytest.raises(ConfigError, match="clip: "):
            LinearChoice.read(as_fields(record | {"products": strange}, "clip", error=ConfigError))


def test_wide_layers_are_one_class_and_unknown_ones_go_by_the_rule():
    assert str(ShapeClass.of(5120, 13824, has_gelu=True, rows="many")) == "2048x2048+gelu many"
    one = ShapeClass.of(8, 16, has_gelu=False, rows="few")
    assert LinearChoice(HERE, PRODUCTS).uses_onednn(one, otherwise=False)
    assert [LinearChoice(HERE).uses_onednn(one, otherwise=rule) for rule in (True, False)] == [True, False]


def test_a_word_that_is_none_is_refused_with_the_nearest():
    assert check_kernels_name("auto") == "auto"
    with pytest.raises(ConfigError, match="kernels must be auto or plain, got 'automatic'; nearest is auto"):
        check_kernels_name("automatic")
