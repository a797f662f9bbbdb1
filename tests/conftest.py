"""What the whole suite takes for granted of its process, set before torch is imported."""

import os
import signal

import hypothesis

# Idle threads must not spin on a shared machine.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["GOMP_SPINCOUNT"] = "0"
# Beside other processes of pytest-xdist one thread each is fastest.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")

# What is fastest on this machine, measured while others use it, must not decide over bits.
os.environ["MOVA_KERNELS"] = "plain"
# The bits of a test do not depend on the processor: what chooses by itself takes float32 on any CPU.
os.environ["MOVA_PRECISION"] = "float32"

# A shell starts what runs in its background with Ctrl-C ignored, `nohup` what it starts with SIGHUP ignored, and
# processes pass that on; some tests send them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

# Fixtures that tests of several folders share.
pytest_plugins = [
    *("fixtures_arena", "fixtures_browser", "fixtures_codecs", "fixtures_databases", "fixtures_endpoints"),
    *("fixtures_pipeline", "fixtures_studio", "fixtures_towers"),
]
