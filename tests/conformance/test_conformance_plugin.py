"""The pytest plug-in, in a pytest of its own."""

import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_every_check_is_a_test_beside_the_folders_own(tmp_path: Path):
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    done = run(
        tmp_path, "--hwzo-device", "crossbar:ideal", "--hwzo-device", "crossbar:pcm", "-k", "own or shared or info"
    )
    assert done.returncode == 0, done.stdout
    for line in (
        "test_own.py::test_own PASSED",
        "hwzo::crossbar:ideal::info PASSED",
        "hwzo::crossbar:pcm::info PASSED",
    ):
        assert line in done.stdout
    assert "deselected" in done.stdout


def test_a_failure_shows_its_reason_and_no_traceback(tmp_path: Path):
    done = run(tmp_path, "--hwzo-device", "nosuch:x", "-k", "capabilities")
    assert done.returncode == 1
    assert "nosuch:x: ConfigError: no backend for device URL 'nosuch:x'" in done.stdout
    assert "Traceback" not in done.stdout


def test_without_the_option_nothing_is_collected_or_imported(tmp_path: Path):
    (tmp_path / "test_own.py").write_text(
        "import sys\n\n\ndef test_own():\n"
        "    loaded = [name for name in sys.modules if name.startswith('hwzo.testing.')]\n"
        "    assert loaded == ['hwzo.testing.pytest_plugin']\n"
    )
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
