"""The report beside quantised weights."""

import json

import pytest

from mova.errors import CheckpointError, ConfigError
from mova.names import COMPONENTS, QUANTIZATION_REPORT_FILE
from mova.weights.quantize.report import (
    can_be_quantized,
    check_stored_method,
    read_reports,
    write_report,
)
from mova.weights.quantize.stored import quantize_stored
from mova.weights.rewrite import component_folders


def test_a_report_is_read_as_it_was_written(checkpoint, tmp_path):
    source, target = checkpoint / "audio_dit", tmp_path / "audio_dit"
    errors = quantize_stored(source, target, "float8")
    report = write_report("float8", errors, source, target)
    assert read_reports(tmp_path) == read_reports(target) == {"audio_dit": report}
    assert report.errors == errors
    assert report.errors[report.worst_weight] == report.worst_error == max(errors.values())
    assert report.mean_error == pytest.approx(sum(errors.values()) / len(errors))
    assert 0 < report.bytes_after < report.bytes_before
    assert report.bytes_before == sum(file.stat().st_size for file in source.glob("*.safetensors"))


def test_a_damaged_report_is_named(tmp_path):
    (tmp_path / "audio_dit").mkdir()
    (tmp_path / "audio_dit" / QUANTIZATION_REPORT_FILE).write_text(json.dumps({"quant_method": "float8"}))
    with pytest.raises(CheckpointError, match=r"quantization_report\.json must have the key 'errors'"):
        read_reports(tmp_path)


def test_towers_and_the_bridge_can_be_quantized_and_nothing_else(checkpoint):
    assert {name for name, folder in component_folders(checkpoint).items() if can_be_quantized(folder)} == set(
        COMPONENTS
    )
    folders = component_folders(checkpoint)
    assert check_stored_method("nf4", folders) == "nf4"
    with pytest.raises(ConfigError, match=r"stored in float8, int8, nf4, got float8_linear, .* nearest is float8"):
        check_stored_method("float8_linear", folders)
    with pytest.raises(ConfigError, match="only towers and the bridge can be quantised, got video_vae"):
        check_stored_method("float8", {"video_vae": folders["video_vae"]})
