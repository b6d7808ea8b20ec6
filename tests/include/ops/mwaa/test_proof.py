"""Proofs run beside a user's stack, and beside each other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from include.ops.local_stack.processes import free_ports
from include.ops.local_stack.settings import ROOT, SettingsError
from include.ops.mwaa import check, least_privilege
from include.ops.mwaa.proof import alone


def test_a_proof_has_its_folder_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAPTOP_HOME", str(tmp_path))
    program = "import sys\nfrom include.ops.mwaa.proof import alone\nwith alone('iam-test') as folder: print(folder)"
    with alone("iam-test") as folder, alone("bundle-test") as other:
        assert folder != other
        with pytest.raises(SettingsError, match=f"another 'make iam-test' runs in {folder}"), alone("iam-test"):
            pytest.fail("two had it")
        done = subprocess.run([sys.executable, "-c", program], env=os.environ, cwd=ROOT, capture_output=True, text=True)
        assert "another 'make iam-test' runs" in done.stderr
    with alone("iam-test"):
        pass


@pytest.mark.parametrize("proof", [check, least_privilege])
def test_a_proof_takes_its_own_ports(
    proof: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ports of ``make up`` are taken, as by a user's running stack."""
    used: list[tuple[int, int]] = []

    class SeenError(Exception):
        pass

    def stop_here(settings: least_privilege.EnforcedSettings, _: object) -> None:
        used.append((settings.airflow_port, settings.sagemaker_port))
        raise SeenError

    monkeypatch.setattr(proof.stack, "down", stop_here)  # type: ignore[attr-defined]
    with socket.socket() as airflow, socket.socket() as sagemaker:
        for name, held in (("AIRFLOW_PORT", airflow), ("SAGEMAKER_PORT", sagemaker)):
            held.bind(("127.0.0.1", 0))
            held.listen()
            monkeypatch.setenv(name, str(held.getsockname()[1]))
        monkeypatch.setenv("LAPTOP_HOME", str(tmp_path))
        with pytest.raises(SeenError):
            proof.main([])  # type: ignore[attr-defined]
        [ports] = used
        assert not {airflow.getsockname()[1], sagemaker.getsockname()[1]} & set(ports)
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_free_ports_differ() -> None:
    assert len(set(free_ports(50))) == 50
