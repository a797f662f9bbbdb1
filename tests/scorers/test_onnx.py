"""ONNX files run with one thread."""

from pathlib import Path

import pytest
import rapidocr

from mova.scorers.onnx import open_onnx


def test_a_session_has_one_thread_and_the_cpu():
    session = open_onnx(Path(rapidocr.__file__).parent / "models" / "ch_ppocr_mobile_v2.0_cls_mobile.onnx")
    assert session.get_session_options().intra_op_num_threads == 1
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_a_file_that_is_no_model_is_an_error(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(Exception, match=r"bad\.onnx"):
        open_onnx(tmp_path / "bad.onnx")
