"""The Slurm example, run as Slurm would on one machine: a piece that stops requeues itself, the last ends the job."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from training.events import read_events

SCRIPT = Path(__file__).parent.parent.parent / "training" / "recipes" / "pretrain.slurm"
FAKES = {
    "srun": 'exec "$@"',
    "scontrol": 'if [ "$1" = show ]; then echo localhost; else echo "$@" >> "$CALLS"; fi',
    "torchrun": f'exec "{sys.executable}" -m torch.distributed.run "$@"',
}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_a_job_in_pieces(corpus: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("pretrain", "sft", "model"))
    for name, body in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
    wishes = {"RECIPE": str(corpus / "recipe.toml"), "RUN": str(run), "DATA": str(corpus), "DEVICE": "cpu"}
    job = str(os.getpid())  # and with it a port of its own
    slurm = {"SLURM_JOB_ID": job, "SLURM_NNODES": "1", "SLURM_JOB_NODELIST": "localhost", "PROCESSES": "1"}
    more = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"), "OMP_NUM_THREADS": "1"}

    def piece(minutes: str) -> int:
        env = {**os.environ, **wishes, **slurm, **more, "MINUTES": minutes}
        return subprocess.run(["bash", str(SCRIPT)], env=env, capture_output=True, timeout=200).returncode

    assert piece("0") == 0
    assert (tmp_path / "calls").read_text() == f"requeue {job}\n"
    assert piece("60") == 0
    assert (tmp_path / "calls").read_text() == f"requeue {job}\n", "the last piece is not put into the queue again"
    kinds = [event["kind"] for event in read_events(run / "pretrain" / "events.jsonl")]
    assert (kinds.count("start"), kinds[-1]) == (2, "end")
    (run / "pretrain" / "events.jsonl").unlink()
    wishes["RECIPE"] = str(tmp_path / "nosuch.toml")
    assert piece("60") != 0, "what is wrong is not tried again"
    assert (tmp_path / "calls").read_text() == f"requeue {job}\n"
