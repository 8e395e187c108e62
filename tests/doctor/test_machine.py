"""What the doctor says of a machine, on copies of the files that systems with accelerators have."""

from __future__ import annotations

import importlib.metadata

import jax
import pytest

from ostrack_jax.doctor import machine
from ostrack_jax.errors import UserError

GPU = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 16\nGPU UUID: \t GPU-0\n"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A system without accelerators, on which jax chooses its platform itself."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(machine, "installed_version", lambda name: None)
    write(tmp_path, "proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\nMemAvailable:    8192000 kB\n")
    return tmp_path


def write(root, name, text=""):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def with_gpus(root, count):
    for i in range(count):
        write(root, f"proc/driver/nvidia/gpus/0000:0{i}:00.0/information", GPU)
        write(root, f"dev/nvidia{i}")


def test_a_plain_machine_has_nothing_to_mend(root):
    assert machine.unused_accelerators(root) == []
    (finding,) = machine.devices(root)
    assert finding.verdict == "ok"
    assert "cpu" in finding.text.lower()


def test_an_idle_gpu_is_said_loudly_with_the_fix(root):
    with_gpus(root, 2)
    *_, finding = machine.devices(root)
    assert finding.verdict == "wrong"
    assert finding.text == "2 NVIDIA GPU (NVIDIA H100 80GB HBM3) in this machine, but jax runs on the CPU"
    assert finding.fix == "pip install 'ostrack-jax[cuda]'"


def test_other_reasons_for_an_idle_gpu(root, monkeypatch):
    with_gpus(root, 1)
    monkeypatch.setattr(machine, "installed_version", lambda name: "1" if name == "jax-cuda13-plugin" else None)
    assert "plugin is installed and failed" in machine.unused_accelerators(root)[0].fix
    (root / "dev/nvidia0").unlink()
    assert "--gpus all" in machine.unused_accelerators(root)[0].fix
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert machine.unused_accelerators(root)[0].fix == "unset JAX_PLATFORMS (it is 'cpu')"


def test_a_gpu_whose_driver_tells_no_model_still_counts(root):
    write(root, "dev/nvidia0")
    write(root, "dev/nvidiactl")
    assert machine.nvidia_gpus(root) == ["nvidia0"]


def test_tpus_by_device_file_or_on_the_bus(root):
    write(root, "sys/bus/pci/devices/0000:00:05.0/vendor", "0x1ae0\n")
    write(root, "sys/bus/pci/devices/0000:00:05.0/device", "0x0042\n")  # Google's network card
    assert machine.tpus(root) == []
    write(root, "sys/bus/pci/devices/0000:00:04.0/vendor", "0x1ae0\n")
    write(root, "sys/bus/pci/devices/0000:00:04.0/device", "0x0063\n")
    (finding,) = machine.unused_accelerators(root)
    assert finding.text.startswith("1 TPU (PCI 0000:00:04.0) in this machine")
    assert finding.fix == "pip install 'ostrack-jax[tpu]'"
    write(root, "dev/accel0")
    assert machine.tpus(root) == ["accel0"]


def test_free_memory_is_the_container_s_share(root):
    assert machine.memory(root).text == "memory: 7.8 GiB of 15.6 GiB free"
    write(root, "sys/fs/cgroup/memory.max", "max\n")
    assert machine.memory(root).text == "memory: 7.8 GiB of 15.6 GiB free"
    write(root, "sys/fs/cgroup/memory.max", str(4 * 2**30))
    write(root, "sys/fs/cgroup/memory.current", str(3 * 2**30))
    finding = machine.memory(root)
    assert (finding.verdict, finding.text) == ("note", "memory: 1.0 GiB of 4.0 GiB free")
    (root / "proc/meminfo").unlink()
    assert machine.memory(root).verdict == "note"


def test_little_disk_is_a_note(tmp_path, monkeypatch):
    assert str(tmp_path.resolve()) in machine.disk(tmp_path).text
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: machine.shutil._ntuple_diskusage(10**12, 0, 2**30))
    finding = machine.disk(tmp_path)
    assert finding.verdict == "note"
    assert "1.0 GiB of" in finding.text


def test_versions_and_a_missing_package(monkeypatch):
    report = machine.versions()
    assert all(finding.verdict == "ok" for finding in report)
    assert f"jax {importlib.metadata.version('jax')}," in report[1].text
    monkeypatch.setattr(machine, "PACKAGES", ("jax", "no-such-package"))
    *_, finding = machine.versions()
    assert (finding.verdict, finding.fix) == ("wrong", "pip install no-such-package")


def test_a_platform_that_is_not_there_is_one_line(monkeypatch):
    def local_devices():
        raise RuntimeError("Unable to initialize backend 'cuda': no plugin\nmore lines")

    monkeypatch.setattr(jax, "local_devices", local_devices)
    with pytest.raises(UserError, match=r"^JAX finds no device for JAX_PLATFORMS=.*'cuda': no plugin.*: unset JAX_P"):
        machine.devices()


def test_an_accelerator_in_use_tells_its_free_memory(monkeypatch, root):
    class Device:
        platform, device_kind, id = "gpu", "NVIDIA H100", 0

        def memory_stats(self):
            return {"bytes_limit": 60 * 2**30, "bytes_in_use": 2**30}

    with_gpus(root, 1)
    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    (finding,) = machine.devices(root)
    assert finding.text == "jax computes on NVIDIA H100 0, 59.0 GiB of 60.0 GiB free for it"
