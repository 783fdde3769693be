"""Device URLs, backends found through entry points, and the lease that keeps a second user off a device."""

import os
import subprocess
import sys
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwzo
from hwzo.device import Device, EmulatedDevice
from hwzo.errors import ConfigError, DeviceBusyError, DeviceError
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
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
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
