"""The command in this process, which is quick, and in one of its own, which is the real thing."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from hwzo.cli.main import main

COMMAND = (sys.executable, "-c", "from hwzo.cli.main import main; main()")


@dataclass
class Done:
    """How a command ended, and what it left."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Standard output, which must be one JSON object on one line and nothing else."""
        assert self.out.endswith("}\n")
        assert self.out.count("\n") == 1
        return json.loads(self.out)


@pytest.fixture
def hwzo(capfd, monkeypatch, tmp_path):
    """Run a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    # A page takes a second to draw; what draws it has tests of its own.
    monkeypatch.setattr("hwzo.cli.picture.find_spec", lambda name: None)
    before = signal.getsignal(signal.SIGTERM)

    def run(*words):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Done(ended.value.code, out, err)

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def process(tmp_path, tmp_path_factory):
    """Start a command in a process of its own, in a folder of its own."""
    started = []
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text("import sys; sys.modules['matplotlib'] = None\n")  # as if it were missing

    def start(*words, pictures=False):
        path = {} if pictures else {"PYTHONPATH": str(site)}
        child = subprocess.Popen(
            [*COMMAND, *(str(word) for word in words)],
            cwd=tmp_path,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"} | path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            child.kill()
            child.communicate()


@pytest.fixture
def ended():
    """Wait for a process to end."""

    def wait(child):
        out, err = child.communicate(timeout=120)
        assert "Traceback" not in out + err
        return Done(child.returncode, out, err)

    return wait
