"""What the compiled kernels hold: registers, memory and instructions, read from the code for each architecture."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

# Classes of instructions, by how their SASS names begin.
CLASSES = {
    "wgmma": r"HGMMA",
    "mma": r"(H|D|I|Q|OM)MMA",
    "fma": r"(F|D)FMA",
    "ldmatrix": r"LDSM",
    "async copy": r"LDGSTS|UBLKCP|UTMALDG",
    "global 16": r"(LDG|STG)\.E\S*\.128|LDGSTS\.E\S*\.128",
    "global other": r"LDG|STG|LDGSTS",
    "shared 16": r"(LDS|STS)\S*\.128",
    "local": r"LDL|STL",
}


# So many multiplications make a loop one that multiplies (a tile of 8 x 8 elements has 64 for each step of the sum).
LEAST_PRODUCTS = {"wgmma": 1, "mma": 1, "fma": 32}


@dataclass
class Kernel:
    """One kernel for one architecture."""

    name: str
    arch: str
    registers: int = 0
    stack: int = 0  # bytes of local memory a thread
    shared: int = 0  # bytes of static shared memory a block
    max_threads: int = 1024  # that __launch_bounds__ allows
    instructions: Counter[str] = field(default_factory=Counter)
    loop: Counter[str] = field(default_factory=Counter)  # of the innermost loops that multiply


def find_tool(name: str) -> str:
    """The path of one of CUDA's programs: in PATH, in the toolkit, or from NVIDIA's wheels.

    Raises:
        FileNotFoundError: it is in none of them.
    """
    folders = [Path("/usr/local/cuda/bin"), Path("/opt/cuda/bin")]
    folders += sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/cu*/bin"))
    found = shutil.which(name) or next(
        (str(f / name) for f in folders if (f / name).exists()), None
    )
    if found is None:
        raise FileNotFoundError(f"{name} was not found: pip install 'fastnn[report]' brings it")
    return found


def _run(tool: str, *arguments: str, cwd: Path | None = None) -> str:
    command = [find_tool(tool), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd).stdout


def readable(names: list[str]) -> list[str]:
    """The C++ names of kernels without namespaces and parameters, as the emulator prints them."""
    text = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    )
    return [_short(line) for line in text.stdout.splitlines()]


def _short(name: str) -> str:
    name = re.sub(r"fastnn::cuda::|_GLOBAL__N__\w+::|\(anonymous namespace\)::|void ", "", name)
    depth = 0
    for i, character in enumerate(name):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "(" and depth == 0:
            return name[:i]
    return name


@cache  # a few hundred instructions make millions of lines
def _class_of(instruction: str) -> str | None:
    return next((c for c, pattern in CLASSES.items() if re.match(pattern, instruction)), None)


def _loops(code: list[str | tuple[str, str]]) -> Iterator[tuple[int, int]]:
    """First and last line of every loop: a label, and a later branch back to it."""
    labels: dict[str, int] = {}
    for i, line in enumerate(code):
        if isinstance(line, str):
            labels[line] = i
        else:
            target = re.search(r"`\((\.L_\w+)\)", line[1])
            if line[0].startswith("BRA") and target and target[1] in labels:
                yield labels[target[1]], i


def _count(kernel: Kernel, code: list[str | tuple[str, str]]) -> None:
    def classes(lines: list[str | tuple[str, str]]) -> Counter[str]:
        return Counter(c for x in lines if not isinstance(x, str) and (c := _class_of(x[0])))

    kernel.instructions = classes(code)
    product = next((c for c in LEAST_PRODUCTS if kernel.instructions[c]), None)
    if product is None:
        return
    spans = [
        s for s in _loops(code) if classes(code[s[0] : s[1]])[product] >= LEAST_PRODUCTS[product]
    ]
    inner = [s for s in spans if not any(s != o and s[0] <= o[0] and o[1] <= s[1] for o in spans)]
    for first, last in inner:
        kernel.loop += classes(code[first:last])


def _read_cubin(path: Path, arch: str) -> list[Kernel]:
    kernels: dict[str, Kernel] = {}
    for line in _run("cuobjdump", "-res-usage", str(path)).splitlines():
        if match := re.match(r"\s*Function (\S+):", line):
            current = kernels[match[1]] = Kernel(match[1], arch)
        elif match := re.match(r"\s*REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", line):
            current.registers, current.stack, current.shared = (int(match[i]) for i in (1, 2, 3))
    info = ""
    attribute = False
    for line in _run("cuobjdump", "-elf", str(path)).splitlines():
        if match := re.match(r"\.nv\.info\.(\S+)", line):
            info = match[1]
        elif "EIATTR_MAX_THREADS" in line:
            attribute = True
        elif attribute and (match := re.search(r"Value:\s*(0x\w+) (0x\w+) (0x\w+)", line)):
            attribute = False
            if info in kernels:
                x, y, z = (int(match[i], 16) for i in (1, 2, 3))
                kernels[info].max_threads = x * y * z
    code: dict[str, list[str | tuple[str, str]]] = {}
    for line in _run("nvdisasm", "-c", str(path)).splitlines():
        if match := re.match(r"\s*\.section\s+\.text\.([^,\s]+)", line):
            lines = code.setdefault(match[1], [])
        elif match := re.match(r"(\.L_\w+):", line):
            lines.append(match[1])
        elif match := re.match(r"\s*/\*\w+\*/\s+\{?\s*(?:@!?U?P\w+\s+)?([A-Z]\S*)(.*)", line):
            lines.append((match[1], match[2]))
    for name, lines in code.items():
        if name in kernels:
            _count(kernels[name], lines)
    for kernel, name in zip(kernels.values(), readable(list(kernels)), strict=True):
        kernel.name = name
    return list(kernels.values())


def read(module: Path) -> list[Kernel]:
    """All kernels of a compiled module, for every architecture that it has code for."""
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor() as pool:
        _run("cuobjdump", "--extract-elf", "all", str(module.resolve()), cwd=Path(folder))
        paths = sorted(Path(folder).glob("*.cubin"))
        archs = [path.stem.rpartition(".sm_")[2] for path in paths]
        kernels = [k for read in pool.map(_read_cubin, paths, archs) for k in read]
    return sorted(kernels, key=lambda k: int(re.sub(r"\D", "", k.arch)))
