"""What is seldom used stays packed in the program until it is used (build/late.py): a start is shorter for it, and memory smaller."""

import lzma
import re
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.image.archive import DIST
from tests.tools import bridge as tools
from tests.tools import launch
from tests.tools.ports import free_port

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build"))

import elf
import freeze
import late
import pack
import transform
from recipe import BuildError


@pytest.fixture(params=["binary", "unpacked"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for module in (launch, tools):
        monkeypatch.setattr(module, "UNDER_TEST", request.param)
    return str(request.param)


def is_unpacked(pid: int) -> bool:
    """Tell whether code lies where the late part goes: in the memory that the program's file has no bytes for."""
    loads = [part for part in elf.segments((DIST / "bridge.unpacked").read_bytes()) if part.kind == elf.LOAD]
    (data,) = [part for part in loads if part.flags & elf.WRITE]
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        places, flags = line.split()[:2]
        start = int(places.split("-")[0], 16)
        if "x" in flags and data.address + data.size <= start < data.address + data.memory:
            return True
    return False


def test_a_delivery_whose_certificate_is_there_leaves_it_packed(program, start_bridge, sns, folder):
    (folder / "certificates").mkdir()
    (folder / "certificates" / sns.certificate_path.rpartition("/")[2]).write_bytes(sns.certificate)
    admin = f"127.0.0.1:{free_port()}"
    bridge = start_bridge(BRIDGE_CERTIFICATES=str(folder / "certificates"), BRIDGE_ADMIN_LISTEN=admin)
    assert bridge.deliver(sns.notification()).status == 200
    for path in ("/", "/livez", "/readyz", "/metrics", "/status.json"):
        with urllib.request.urlopen(f"http://{admin}{path}", timeout=10) as answer:
            assert answer.status == 200, path
    assert not is_unpacked(bridge.process.pid)


def test_libcrypto_knows_the_processor_before_it_is_unpacked(program, start_bridge):
    """Else verification runs on code for any of them: 28 us where 20 will do."""
    place = re.search(r"^ *([0-9a-f]+) .* OPENSSL_ia32cap_P$", (pack.build() / "bridge.map").read_text(), re.M)
    assert place
    bridge = start_bridge()
    with open(f"/proc/{bridge.process.pid}/mem", "rb") as memory:
        memory.seek(int(place[1], 16))
        assert memory.read(16) != bytes(16)
    assert not is_unpacked(bridge.process.pid)


def test_a_certificate_that_is_fetched_unpacks_it(program, start_bridge, sns):
    bridge = start_bridge()
    assert not is_unpacked(bridge.process.pid)
    assert bridge.deliver(sns.notification()).status == 200
    assert is_unpacked(bridge.process.pid)


def test_it_runs_where_memory_that_was_written_may_not_be_executed():
    """As systemd's MemoryDenyWriteExecute=yes has it, which docs/bridge.service says that the unpacked program can have."""
    refuse = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) and sys.exit(77); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", refuse, DIST / "bridge.unpacked", "--version"], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("PR_SET_MDWE came with Linux 6.3")
    assert (done.returncode, done.stderr) == (0, "")
    assert "OpenSSL" in done.stdout


def test_a_program_whose_file_is_damaged_says_so(tmp_path):
    whole = (DIST / "bridge.unpacked").read_bytes()
    last = [part for part in elf.segments(whole) if part.kind == elf.LOAD][-1]
    middle = last.offset + last.size // 2
    damaged = tmp_path / "bridge"
    damaged.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    damaged.chmod(0o755)
    done = subprocess.run([damaged, "--version"], capture_output=True, text=True)
    assert done.returncode < 0
    assert done.stderr == "bridge: this program's file is damaged, or there is no memory to unpack it\n"


def test_what_is_packed_is_the_same_in_whatever_folder_it_was_linked():
    """An ELF header would tell where debug information ends, which has paths in it."""
    program = (DIST / "bridge.unpacked").read_bytes()
    packed = program[[part for part in elf.segments(program) if part.kind == elf.LOAD][-1].offset :]
    size, (properties, window) = struct.unpack_from("<4xI", packed)[0], struct.unpack_from("<BI", packed, 24)
    powers = {"lc": properties % 9, "lp": properties // 9 % 5, "pb": properties // 45}
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": window, **powers}])
    image = unpacker.decompress(packed[32:], size)
    assert len(image) == size
    assert image[:64] == bytes(64)
    assert b"/sns-to-rabbitmq-bridge/" not in image  # the caches' folder


def test_each_late_module_is_packed_apart_and_nothing_else():
    there = {path.name for path in (freeze.objects() / "late").iterdir()}
    for name in transform.MODULES["packed_late"]:
        assert any(module == name or module.startswith(name + ".") for module in there), name
    assert not there & {"bridge.commands.serve", "bridge.commands.healthcheck", "bridge.admin.metrics", "pika.connection", "json", "socket"}


def test_the_parts_may_not_want_what_neither_has(monkeypatch, tmp_path):
    monkeypatch.setattr(late, "assembled", lambda text, name, log: name)
    monkeypatch.setattr(late, "undefined", lambda command, log: {"nowhere"})
    with pytest.raises(BuildError, match="neither part of the program has nowhere"):
        late.boundary(lambda *words: [], lambda *words: [], tmp_path, tmp_path / "log")
