"""The command with the real worker and the bundled model, under the eyes of a guard that forbids the network."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.no_sockets import STATUS

GUARD = str(Path(__file__).parent / "no_sockets.py")


def test_the_bundled_model_answers_without_the_network(tmp_path: Path) -> None:
    environment = os.environ | {
        "HOMESPUN_WORKER": shlex.join([sys.executable, GUARD, "engine.worker"]),
        "HOMESPUN_DATA_DIR": str(tmp_path),
    }
    command = [sys.executable, GUARD, "assistant.cli", "ask", "--seed", "1", "Hello! Who are you?"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "homespun" in done.stdout.lower()


def test_listing_models_and_adding_a_folder_reach_for_no_network(tmp_path: Path) -> None:
    environment = os.environ | {"HOMESPUN_DATA_DIR": str(tmp_path)}
    folder = str(Path(__file__).parents[1] / "engine" / "bundled" / "homespun-v0")
    for arguments in (["list"], ["add", folder, "--name", "twin"], ["info", "twin"], ["default", "twin"]):
        command = [sys.executable, GUARD, "assistant.cli", "models", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr


def test_the_guard_notices_the_network(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text("import socket\nsocket.create_connection(('localhost', 9))\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, GUARD, "caller"], capture_output=True, env=environment)
    assert done.returncode == STATUS
