"""The streams of a device: none on a CPU; on a GPU the side one is another than that in use."""

import pytest
import torch

from mova.kernels.streams import CudaStreams, streams_of


def test_a_cpu_has_no_queues():
    assert streams_of(torch.device("cpu")) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_work_of_the_side_stream_is_waited_for():
    streams = streams_of(torch.device("cuda"))
    assert isinstance(streams, CudaStreams)
    assert streams.side != streams.current()
    values = torch.randn(1000, 1000, device="cuda")
    streams.side.wait_event(streams.current().record_event())
    with streams.use(streams.side):
        product = values @ values
    streams.keep(values, streams.side)
    streams.current().wait_event(streams.side.record_event())
    assert torch.equal(product, values @ values)
