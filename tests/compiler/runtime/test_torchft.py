"""torchft's DiLoCo takes rules of ours inside and outside; where it is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "with_torchft.py"


def test_diloco_of_torchft_steps_as_the_rule_with_both_steps(tmp_path):
    coordination = pytest.importorskip("torchft.coordination")
    lighthouse = coordination.LighthouseServer(bind="[::]:0", min_replicas=2, join_timeout_ms=1000)
    try:
        run = subprocess.run(
            [sys.executable, str(SCRIPT), lighthouse.address(), str(tmp_path)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    finally:
        lighthouse.shutdown()
    assert run.returncode == 0, run.stderr
    apart = [float((tmp_path / str(rank)).read_text()) for rank in range(2)]
    assert max(apart) < 1e-5, apart
