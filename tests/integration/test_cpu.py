# SPDX-License-Identifier: Apache-2.0
"""The guest's processors: topology, features, names, and CPU templates."""

import json
import re

import pytest

from framework import host, payload
from framework.wisp import config_file

ARGS = "console=ttyS0 quiet reboot=k panic=-1"
JSON_ERROR = "An error occurred when deserializing the json body of a request: "
AFTER = "The requested operation is not supported after starting the microVM."

# Leaf 1 and leaf 7; each holds for AMD and Intel and does no harm when it is missing.
MOVBE = 22
CLFLUSHOPT = 23


def hidden(*bits):
    """A bitmap that clears the bits."""
    return "0b" + "".join("0" if n in bits else "x" for n in range(31, -1, -1))


def leaf(number, register, bitmap, flags=0, subleaf="0x0"):
    return {"leaf": number, "subleaf": subleaf, "flags": flags,
            "modifiers": [{"register": register, "bitmap": bitmap}]}


TEMPLATE = {"cpuid_modifiers": [leaf("0x1", "ecx", hidden(MOVBE)),
                                leaf("0x7", "ebx", hidden(CLFLUSHOPT), flags=1)]}


# --- the request ---

@pytest.mark.area("api")
@pytest.mark.area("cpu")
@pytest.mark.parametrize("body", [
    {}, {"kvm_capabilities": []}, {"kvm_capabilities": ["121", "!56"]}, TEMPLATE,
    {"msr_modifiers": [{"addr": "0x10a", "bitmap": "0b" + "x" * 64}]},
    {"msr_modifiers": [{"addr": "0b1010", "bitmap": "1_0x"}]},
    {"cpuid_modifiers": [leaf("0xFF", "edx", "", subleaf="0b11")]},
])
def test_good_templates(api, body):
    assert api.put("/cpu-config", body).status == 204
    assert api.get("/vm/config").json["cpu-config"] is None


@pytest.mark.area("api")
@pytest.mark.area("cpu")
@pytest.mark.parametrize("body, text", [
    ({"reg_modifiers": []}, "unknown field `reg_modifiers`"),
    ({"vcpu_features": []}, "unknown field `vcpu_features`"),
    ({"kvm_capabilities": ["x"]}, "kvm_capabilities[0]: "),
    ({"kvm_capabilities": [1]}, "kvm_capabilities[0]: invalid type"),
    ({"cpuid_modifiers": [leaf("1", "eax", "0")]},
     "cpuid_modifiers[0]: `leaf`: No supported number system prefix found in value [1]"),
    ({"cpuid_modifiers": [leaf("0x1", "rax", "0")]}, "Invalid CPUID register [rax]"),
    ({"cpuid_modifiers": [leaf("0x1", "eax", "0b" + "x" * 33)]}, "more than 32 bits"),
    ({"msr_modifiers": [{"addr": "0x1", "bitmap": "x" * 65}]}, "more than 64 bits"),
    ({"msr_modifiers": [{"addr": "0x1", "bitmap": "12"}]}, "msr_modifiers[0]: `bitmap`: "),
    ({"msr_modifiers": [{"addr": "0x1", "bitmap": ""}] * 193}, "more than 192 elements"),
    ([], "invalid type"),
])
def test_bad_templates(api, body, text):
    reply = api.put("/cpu-config", body)
    assert reply.status == 400
    assert reply.fault.startswith(JSON_ERROR) and text in reply.fault, reply.fault


# --- the start ---

def idle(start_wisp, template=None, **machine):
    vm = start_wisp()
    vm.machine(**machine)
    vm.boot_source(payload.image("idle"))
    if template is not None:
        assert vm.api.put("/cpu-config", template).status == 204
    return vm


def start(vm):
    return vm.api.put("/actions", {"action_type": "InstanceStart"})


@pytest.mark.area("cpu")
@pytest.mark.anykvm
def test_refused_after_the_start(start_wisp):
    vm = idle(start_wisp, {})
    vm.start()
    reply = vm.api.put("/cpu-config", {})
    assert (reply.status, reply.fault) == (400, AFTER)


@pytest.mark.area("cpu")
@pytest.mark.anykvm
@pytest.mark.parametrize("template, text", [
    ({"cpuid_modifiers": [leaf("0x7", "eax", "0", subleaf="0x77")]},
     "Template changes a CPUID entry not supported by KVM: Leaf: 0x7, Subleaf: 0x77"),
    ({"msr_modifiers": [{"addr": "0x40000fff", "bitmap": "1"}]}, "MSR 0x40000fff"),
    ({"kvm_capabilities": ["4000000000"]}, "KVM capability 4000000000"),
])
def test_templates_that_the_host_cannot_do(start_wisp, template, text):
    """The start fails, says why, and may be tried again."""
    vm = idle(start_wisp, template)
    for _ in range(2):
        reply = start(vm)
        assert reply.status == 400 and reply.fault.startswith("Start microvm error: ")
        assert text in reply.fault
        assert vm.api.get("/").json["state"] == "Not started"
    assert vm.api.put("/cpu-config", {}).status == 204
    vm.start()
    vm.expect("^READY$")


@pytest.mark.area("cpu")
@pytest.mark.anykvm
def test_a_capability_that_is_not_required(start_wisp):
    """The last word on an id is its removal."""
    vm = idle(start_wisp, {"kvm_capabilities": ["4000000000", "!4000000000", "!38"]})
    vm.start()
    vm.expect("^READY$")


@pytest.mark.area("cpu")
@pytest.mark.anykvm
def test_static_template_for_another_processor(start_wisp):
    cpuinfo = open("/proc/cpuinfo", encoding="ascii", errors="replace").read()
    other = "T2" if "AuthenticAMD" in cpuinfo else "T2A"
    vm = idle(start_wisp, cpu_template=other)
    reply = start(vm)
    assert reply.status == 400
    assert reply.fault == ("Start microvm error: Failed to get CPU template: CPU vendor mismatched "
                           "between actual CPU and CPU template.")
    assert vm.api.get("/machine-config").json["cpu_template"] == other
    assert vm.api.patch("/machine-config", {"cpu_template": "None"}).status == 204
    assert "cpu_template" not in vm.api.get("/machine-config").json
    vm.start()
    vm.expect("^READY$")


BAD = {"kvm_capabilities": ["4000000000"]}


@pytest.mark.area("cpu")
@pytest.mark.anykvm
def test_the_last_template_counts(start_wisp):
    """Static and custom replace each other; what does not speak of templates changes nothing."""
    vm = idle(start_wisp, cpu_template="T2S")
    assert vm.api.put("/cpu-config", BAD).status == 204
    assert "cpu_template" not in vm.api.get("/machine-config").json
    vm.machine()
    assert vm.api.patch("/machine-config", {"smt": False}).status == 204
    assert "KVM capability 4000000000" in start(vm).fault
    assert vm.api.patch("/machine-config", {"cpu_template": "None"}).status == 204
    vm.start()
    vm.expect("^READY$")


@pytest.mark.area("cpu")
@pytest.mark.anykvm
@pytest.mark.parametrize("inline", [True, False])
def test_template_in_the_configuration_file(start_wisp, tmp_path, inline):
    path = tmp_path / "cpu.json"
    path.write_text(json.dumps(BAD))
    config = config_file(tmp_path, payload.image("idle"),
                         **{"cpu-config": BAD if inline else str(path)})
    vm = start_wisp("--no-api", "--config-file", config, api=False)
    assert vm.wait(20) == 152
    assert "KVM capability 4000000000" in vm.log()


@pytest.mark.area("cpu")
@pytest.mark.parametrize("text, error", [
    (None, "No such file or directory"), ("{", "EOF while parsing"),
    ("{\"x\":1}", "unknown field `x`"),
])
def test_bad_template_file(start_wisp, tmp_path, text, error):
    path = tmp_path / "cpu.json"
    if text is not None:
        path.write_text(text)
    config = config_file(tmp_path, payload.image("idle"), **{"cpu-config": str(path)})
    vm = start_wisp("--no-api", "--config-file", config, api=False)
    assert vm.wait(20) == 152
    assert "CPU config error: " in vm.log() and error in vm.log()


@pytest.mark.area("cpu")
def test_template_in_the_log(start_wisp):
    vm = start_wisp(log=False, console="file")
    log = vm.where / "quiet.log"
    assert vm.api.put("/logger", {"log_path": str(log), "level": "Info"}).status == 204
    vm.api.put("/cpu-config", TEMPLATE)
    assert vm.api.put("/logger", {"level": "Debug"}).status == 204
    vm.api.put("/cpu-config", {"kvm_capabilities": ["!77"]})
    lines = [line for line in log.read_text().splitlines() if "/cpu-config" in line]
    assert lines[0].endswith("on \"/cpu-config\". To view the CPU template received by the API, "
                             "configure log-level to DEBUG.")
    assert "!77" in lines[1]


# --- what Linux sees ---

LOOK = ("cat /proc/cpuinfo; cd /sys/devices/system/cpu; "
        "grep -H . cpu*/topology/core_id cpu*/topology/thread_siblings_list "
        "cpu*/topology/physical_package_id; cd /")


def boot(vm, guest="small-elf", template=None, **machine):
    found = host.guest(guest)
    vm.machine(mem=max(128, found.memory_min_mib), **machine)
    if template is not None:
        assert vm.api.put("/cpu-config", template).status == 204
    vm.boot_source(found.kernel, f"{ARGS} test=\"{LOOK}\"", initrd=found.initrd)
    vm.start()
    assert vm.wait(120) == 0, (vm.console()[-1500:], vm.log()[-1500:])
    return vm.console()


def processors(console):
    """/proc/cpuinfo: a dictionary for each processor."""
    found = []
    for line in console.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == "processor":
            found.append({})
        if colon and found and not line.startswith("cpu"):
            found[-1][key.strip()] = value.strip()
        elif colon and found and re.match(r"cpu (family|cores)\b", line):
            found[-1][key.strip()] = value.strip()
    return found


def topology(console, name):
    return dict(re.findall(rf"^cpu(\d+)/topology/{name}:(\S+)$", console, re.MULTILINE))


GUESTS = ["small-elf", "small-6.1-elf", "cloud"]
SIZES = [(1, False), (1, True), (4, False), (4, True)]
# What `make test' runs of them: every kernel, every size.
CUT = {("small-elf", 1, False), ("small-elf", 4, True), ("small-6.1-elf", 4, True),
       ("small-6.1-elf", 1, True), ("cloud", 4, False)}


def sizes():
    for guest in GUESTS:
        for vcpus, smt in SIZES:
            soak = (guest, vcpus, smt) not in CUT
            yield pytest.param(guest, vcpus, smt, marks=[pytest.mark.soak] if soak else [])


@pytest.mark.area("cpu")
@pytest.mark.kvm
@pytest.mark.parametrize("guest, vcpus, smt", sizes())
def test_processors_of_the_guest(wisp, guest, vcpus, smt):
    console = boot(wisp, guest, vcpus=vcpus, smt=smt)
    cpus = processors(console)
    threads = 2 if smt and vcpus > 1 else 1
    assert len(cpus) == vcpus, console[-3000:]
    intel = cpus[0]["vendor_id"] == "GenuineIntel"
    for n, cpu in enumerate(cpus):
        flags = cpu["flags"].split()
        assert {"hypervisor", "tsc_deadline_timer"} <= set(flags)
        assert not {"vmx", "svm", "arch_perfmon", "perfctr_core", "pdcm"} & set(flags)
        assert cpu["model name"].startswith("Intel(R) Xeon(R) Processor" if intel else "AMD EPYC")
        assert int(cpu["apicid"]) == n
        assert cpu.get("physical id", "0") == "0"
        assert int(cpu.get("cpu cores", 1)) == vcpus // threads
        assert int(cpu.get("siblings", 1)) == vcpus
    assert ("ht" in cpus[0]["flags"].split()) == (vcpus > 1)
    assert topology(console, "core_id") == {str(n): str(n // threads) for n in range(vcpus)}
    assert topology(console, "physical_package_id") == {str(n): "0" for n in range(vcpus)}
    siblings = topology(console, "thread_siblings_list")
    for n in range(vcpus):
        first = n - n % threads
        assert siblings[str(n)] == (f"{first}-{first + 1}" if threads == 2 else str(n))


@pytest.mark.area("cpu")
@pytest.mark.kvm
def test_template_hides_features(start_wisp):
    plain = processors(boot(start_wisp(), vcpus=2))
    hidden_ones = {"movbe", "clflushopt"} & set(plain[0]["flags"].split())
    assert hidden_ones, "this host has none of the features that the template hides"
    changed = processors(boot(start_wisp(), vcpus=2, template=TEMPLATE))
    for before, after in zip(plain, changed):
        gone = set(before["flags"].split()) - set(after["flags"].split())
        assert gone == hidden_ones
    assert len(changed) == 2


@pytest.mark.area("cpu")
@pytest.mark.kvm
def test_template_cannot_break_the_topology(wisp):
    """Leaf 1 EBX holds the APIC id: normalisation has the last word."""
    template = {"cpuid_modifiers": [leaf("0x1", "ebx", "0" * 32),
                                    leaf("0x1", "ecx", "1" + "x" * 5)]}
    cpus = processors(boot(wisp, vcpus=2, template=template))
    assert [int(cpu["apicid"]) for cpu in cpus] == [0, 1]
    assert "vmx" not in cpus[0]["flags"].split()
