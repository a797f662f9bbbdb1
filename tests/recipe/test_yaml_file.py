"""YAML within bounds."""

import pytest

from mova.errors import ConfigError
from mova.recipe.yaml_file import parse_yaml, read_yaml


def bomb(levels=7, width=9):
    lines = [f"a0: &a0 [{','.join('x' * width)}]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (bomb(), "at most 100000 values with its aliases written out"),
        ("a: &a [*a]", "recursive|at most 40 levels|nested too deeply|undefined alias"),
        ("a: &a {b: *a}", "recursive|at most 40 levels|nested too deeply|undefined alias"),
        ("[" * 60 + "]" * 60, "at most 40 levels"),
        ("[" * 100_000, "nested too deeply"),
        ("{a: " * 100_000, "nested too deeply"),
        ("lr: 1\nlr: 2", "the key 'lr' is there twice"),
        ('path: "a\\0b"', "must not have the character NUL"),
        ("seed: " + "9" * 5000, "Exceeds the limit"),
        ("when: 2020-99-99", "month must be in"),
        ("run: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: [", "expected the node content"),
        ("a: 1\n---\na: 2", "expected a single document"),
        ("? [a]\n: 1", "unhashable key"),
    ],
)
def test_what_is_no_plain_small_document_is_a_short_error(text, told):
    with pytest.raises(ConfigError, match=f"(?s)x.yaml: .*({told})") as raised:
        parse_yaml(text, "x.yaml")
    assert len(str(raised.value)) < 1000


def test_aliases_share_nothing():
    values = parse_yaml("a: &a {lr: 1}\nb: *a\nc: {<<: *a, other: 2}", "x.yaml")
    assert values == {"a": {"lr": 1}, "b": {"lr": 1}, "c": {"lr": 1, "other": 2}}
    assert values["a"] is not values["b"]


def test_empty_and_plain_values(tmp_path):
    assert parse_yaml("", "x") is None
    assert parse_yaml("[1, 2.5, true, null, text]", "x") == [1, 2.5, True, None, "text"]
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml(tmp_path / "bom.yaml") == {"a": 1}


def test_files_that_are_none_are_named(tmp_path):
    (tmp_path / "large.yaml").write_bytes(b"#" * 300_000)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    for name, told in (
        ("large.yaml", "at most 262144 bytes"),
        ("latin.yaml", "byte 3 is not UTF-8"),
        (".", "directory"),
    ):
        with pytest.raises(ConfigError, match=told):
            read_yaml(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "absent.yaml")
