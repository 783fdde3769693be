"""Device URLs, backends found through entry points, and the lease that keeps a second user off a device."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwzo
from hwzo.device import Device, EmulatedDevice
from hwzo.errors import ConfigError, DeviceBusyError, DeviceError, DeviceTimeoutError
from hwzo.lease import FOLDER_VARIABLE, Lease, lock_folder
from hwzo.probes import Batch, Probes
from hwzo.registry import DeviceURL, connect, listings

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), max_size=12)
schemes = st.from_regex(r"[a-z][a-z0-9_+-]{0,8}", fullmatch=True)

BACKEND = dedent("""
    from dataclasses import replace

    from hwzo.errors import DeviceError
    from hwzo.registry import Listing
    from hwzo.testing.quadratic import QuadraticDevice

    class Backend:
        def open(self, url, *, network, window, seed):
            if url.target == "absent":
                raise DeviceError("nothing answers there; plug it in")
            device = QuadraticDevice(6, seed=int(url.options.get("seed", seed or 0)), loss_sd=0.01)
            device._info = replace(device.info, url=str(url.with_defaults(seed=str(seed or 0))))
            return device

        def listings(self):
            return [Listing("bench:one", emulated=True, available=True, reason="a test")]

        def lock_name(self, url):
            return f"/dev/bench {url.target}"

    BACKEND = Backend()
""")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts a distribution with a backend on the path, and leases into a folder of their own."""

    def install(name, code):
        (tmp_path / f"{name}_backend.py").write_text(code, encoding="utf-8")
        about = tmp_path / f"{name}_backend-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-backend\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[hwzo.backends]\n{name} = {name}_backend:BACKEND\n")

    install("bench", BACKEND)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "locks"))
    yield install
    for name in [name for name in sys.modules if name.endswith("_backend")]:
        del sys.modules[name]


@given(schemes, words, st.dictionaries(words.filter(bool), words, max_size=4))
def test_parse_undoes_str(scheme, target, options):
    url = DeviceURL(scheme, target, options)
    assert DeviceURL.parse(str(url)) == url


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_a_config_error(text):
    try:
        url = DeviceURL.parse(text)
    except ConfigError:
        return
    assert DeviceURL.parse(str(url)) == url


def test_parts_of_a_url():
    url = DeviceURL.parse("serial:/dev/ttyACM0?baud=1000000&rate=1e+3")
    assert (url.scheme, url.target, url.options) == ("serial", "/dev/ttyACM0", {"baud": "1000000", "rate": "1e+3"})
    assert DeviceURL.parse("serial:socket://host:5000").target == "socket://host:5000"
    given_first = DeviceURL.parse("crossbar:pcm?seed=1").with_defaults(seed="2", window="3")
    assert given_first.options == {"seed": "1", "window": "3"}


@pytest.mark.parametrize(
    "url", ["", "crossbar", "pcm?seed=1", ":pcm", "crossbar:pcm?seed", "crossbar:pcm?=1", "crossbar:pcm?a=1&&b=2"]
)
def test_what_is_no_url_is_refused_by_key(url):
    with pytest.raises(ConfigError) as caught:
        DeviceURL.parse(url)
    assert caught.value.key == "device"


def test_an_option_given_twice_is_refused_by_name():
    with pytest.raises(ConfigError, match="'seed' is given twice"):
        DeviceURL.parse("crossbar:pcm?seed=1&seed=2")


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [
        ("nosuch:thing", "device", "crossbar"),
        ("crossbar:nosuch", "device", "pcm"),
        ("crossbar:pcm?windw=1", "windw", "window"),
        ("crossbar:pcm?window=-1", "window", "-1"),
        ("crossbar:pcm?layers=64-x", "layers", "64-x"),
    ],
)
def test_what_connect_refuses_names_the_key_and_what_is_allowed(url, key, says):
    with pytest.raises(ConfigError, match=says) as caught:
        connect(url)
    assert key in (caught.value.key, *str(caught.value).replace("=", " ").split())


def test_a_backend_that_cannot_be_imported_is_told_by_name_and_listed(installed):
    installed("broken", "import no_such_module_anywhere\n")
    with pytest.raises(DeviceError, match=r"broken-backend.*no_such_module_anywhere"):
        connect("broken:x")
    lines = {line.url: line for _, line in listings()}
    assert not lines["broken:"].available
    assert "no_such_module_anywhere" in lines["broken:"].reason
    assert lines["bench:one"].available


def test_a_backend_that_is_none_is_told(installed):
    installed("hollow", "BACKEND = 3\n")
    with pytest.raises(DeviceError, match="without open, listings and lock_name"):
        connect("hollow:x")


def test_a_leased_device_is_still_an_emulated_device(installed):
    device = connect("bench:a")
    try:
        assert isinstance(device, Device)
        assert isinstance(device, EmulatedDevice)
        device.restore(device.snapshot())
        device.advance(1.0)
    finally:
        device.close()


def test_a_second_user_is_told_who_holds_the_device(installed):
    device = connect("bench:a")
    with pytest.raises(DeviceBusyError, match=str(os.getpid())):
        connect("bench:a")
    connect("bench:b").close()  # another device of the same kind is free
    device.close()
    device.close()
    connect("bench:a").close()


def test_a_device_that_cannot_be_opened_is_not_held(installed):
    for _ in range(2):
        with pytest.raises(DeviceError, match="plug it in"):
            connect("bench:absent")


def test_another_process_is_told_who_holds_the_device(installed):
    device = connect("bench:a")
    code = "import hwzo\ntry: hwzo.connect('bench:a')\nexcept hwzo.DeviceError as error: print(error)"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    finally:
        device.close()
    assert f"process {os.getpid()}" in done.stdout


def test_a_leased_device_trains_and_resumes(installed, tmp_path):
    first = hwzo.train("xor", "bench:a", method="spsa", budget="200 evaluations", run=tmp_path / "run")
    longer = hwzo.train(run=tmp_path / "run", resume=True, budget="400 evaluations")
    assert (first.steps, first.emulated) < (longer.steps, 2)
    connect("bench:a").close()


BROKEN = dedent("""
    import sys

    from hwzo.registry import Listing
    from hwzo.testing.quadratic import QuadraticDevice

    def fail(what):
        if what == "exit":
            sys.exit(0)
        if what == "raise":
            raise RuntimeError("odd")
        if what == "missing":
            raise FileNotFoundError("/dev/nothing")
        if what == "hang":
            import time
            while True:
                try:
                    time.sleep(30)
                except Exception:
                    pass

    class Half(QuadraticDevice):
        capabilities = None

    class Backend:
        def open(self, url, *, network, window, seed):
            fail(url.target)
            return {"none": None, "half": Half(4), "number": 3}[url.target]

        def listings(self):
            LISTINGS

        def lock_name(self, url):
            fail(url.options.get("lock"))
            return 3 if url.options.get("lock") == "number" else url.options.get("lock")

    BACKEND = Backend()
""")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("odd:exit", "failed in open: SystemExit"),
        ("odd:raise", "failed in open: RuntimeError: odd"),
        ("odd:missing", "failed in open: FileNotFoundError: /dev/nothing"),
        ("odd:none", "opened a NoneType"),
        ("odd:number", "lacks info"),
        ("odd:half", "capabilities is a NoneType"),
        ("odd:half?lock=port", "capabilities is a NoneType"),
        ("odd:none?lock=raise", "failed in lock_name: RuntimeError"),
        ("odd:none?lock=exit", "failed in lock_name: SystemExit"),
        ("odd:none?lock=number", "must be text or None"),
    ],
)
def test_a_backend_that_fails_is_blamed_by_name(installed, url, says):
    installed("odd", BROKEN.replace("LISTINGS", "return []"))
    for _ in range(2):  # and holds nothing afterwards
        with pytest.raises(DeviceError, match=f"backend 'odd'.*{says}"):
            connect(url)


def test_a_backend_that_hangs_is_given_up(installed, monkeypatch):
    installed("odd", BROKEN.replace("LISTINGS", "fail('hang')"))
    monkeypatch.setattr("hwzo.registry.OPEN_S", 0.1)
    with pytest.raises(DeviceTimeoutError, match=r"'odd' did not answer open within 0\.1 s"):
        connect("odd:hang")
    assert "did not answer listings" in {line.url: line.reason for _, line in listings()}["odd:"]


@pytest.mark.parametrize("body", ["return None", "return [3]", "fail('raise')", "fail('exit')"])
def test_a_backend_that_cannot_list_is_a_line(installed, body):
    installed("odd", BROKEN.replace("LISTINGS", body))
    lines = {line.url: line for _, line in listings()}
    assert not lines["odd:"].available
    assert "'odd'" in lines["odd:"].reason
    assert lines["bench:one"].available


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "exit(0)"])
def test_a_backend_cannot_end_the_program_while_it_is_imported(installed, code):
    installed("ending", code)
    with pytest.raises(DeviceError, match="could not be imported: SystemExit"):
        connect("ending:x")


def test_a_device_may_answer_through_getattr(installed):
    wrapper = """
        class Wrapper:
            def __init__(self, device):
                self._device = device

            def __getattr__(self, name):
                return getattr(self._device, name)
    """
    code = BACKEND.replace("            return device\n", "            return Wrapper(device)\n")
    installed(
        "wrapped", dedent(wrapper) + code.replace("\n            return device", "\n            return Wrapper(device)")
    )
    device = connect("wrapped:x")
    device.restore(device.snapshot())
    assert device.measure(Probes.plain(2), Batch(np.zeros((1, 1)), np.zeros(1, dtype=np.int64))).losses.shape == (2,)
    device.close()


def test_devices_of_a_machine_are_locked_in_one_place_whoever_asks(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    here = lock_folder()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert lock_folder() == here


def test_a_lock_is_for_all_users(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "locks"))
    before = os.umask(0o077)
    try:
        Lease.of_device("/dev/ttyACM0", "serial:x").release()
    finally:
        os.umask(before)
    assert (tmp_path / "locks").stat().st_mode & 0o7777 == 0o1777
    files = list((tmp_path / "locks").iterdir())
    assert len(files) == 2
    assert all(file.stat().st_mode & 0o777 == 0o666 for file in files)


def test_names_that_look_alike_are_locked_apart(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    first, second = Lease.of_device("a/b", "x:1"), Lease.of_device("a_b", "x:2")
    first.release()
    second.release()


def test_a_folder_that_cannot_be_written_is_the_devices_error(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file" / "locks"))
    with pytest.raises(DeviceError, match=f"can't be locked.*{FOLDER_VARIABLE}"):
        Lease.of_device("a", "x:1")


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused_and_can_have_it_afterwards():
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    code = """
import os
import filelock, json
from hwzo.lease import Lease
from hwzo.errors import DeviceBusyError
os.setgroups([]); os.setgid(65534); os.setuid(65534)  # from here on this installation may be out of reach
try:
    Lease.of_device("port", "x:1").release()
    print("mine")
except DeviceBusyError as error:
    print(error)
"""
    environment = os.environ | {FOLDER_VARIABLE: str(folder / "locks"), "HOME": "/"}

    def other():
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd="/")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder / "locks"))
        lease = Lease.of_device("port", "x:1")
        refused = other()
        lease.release()
        free = other()
        Lease.of_device("port", "x:1").release()
    shutil.rmtree(folder)
    assert f"process {os.getpid()}" in refused.stdout, refused.stderr
    assert free.stdout == "mine\n", free.stderr
