"""Executes candidate programs: a process each, in a jail, with its own directory."""

from __future__ import annotations

import ast
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import IO

from fimls.evaluation.datasets import Check, Hole, InputOutput, Match

JAIL = Path(__file__).with_name("jail.py")
MEBIBYTE = 1 << 20
# A solution that prints more than this has lost its way.
MOST_OUTPUT_BYTES = 16 * MEBIBYTE
# Of the run times that map more than they use.
HEAP_MIB = 512
# Waiting is not computing: on a busy machine the wall clock may be this much behind.
WALL_PER_CPU = 4


class Verdict(str, Enum):
    """What became of a candidate."""

    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution may use. Compilers get their own, larger ones."""

    cpu_s: int = 4
    memory_mib: int = 1024


@dataclass(frozen=True, slots=True)
class Toolchain:
    """How a language is built and run; commands run in the candidate's directory.

    ``needs`` are the programs that must be on the path, ``package`` says where to
    get them. ``maps_much`` marks run times that reserve more address space than
    they use, which a limit on address space would break: their heap is limited instead.
    """

    needs: tuple[str, ...]
    package: str
    source: str
    build: tuple[str, ...]
    run: tuple[str, ...]
    maps_much: bool = False


TOOLCHAINS = {
    "cpp": Toolchain(
        ("g++",), "g++", "main.cpp", ("g++", "-std=c++17", "-O1", "-w", "-o", "main", "main.cpp"),
        ("./main",),
    ),
    "java": Toolchain(
        ("javac", "java"), "a JDK", "{public}.java",
        ("javac", "-nowarn", f"-J-Xmx{HEAP_MIB}m", "-J-XX:TieredStopAtLevel=1",
         "-J-XX:-UsePerfData", "-d", ".", "{public}.java"),
        ("java", f"-Xmx{HEAP_MIB}m", "-Xss64m", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
         "-XX:+UseSerialGC", "-cp", ".", "{main}"),
        maps_much=True,
    ),
    "csharp": Toolchain(
        ("mcs", "mono"), "mono-mcs and mono-runtime", "main.cs",
        ("mcs", "-nowarn:0219,0168", "-out:main.exe", "main.cs"), ("mono", "main.exe"),
        maps_much=True,
    ),
}  # fmt: skip
BUILD_LIMITS = Limits(cpu_s=30, memory_mib=4096)


class Sandbox:
    """Judges texts for holes. Thread-safe: every call has its own directory and process."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits

    @cached_property
    def isolation(self) -> dict[str, str]:
        """What is in force on this machine, found out by trying."""
        with tempfile.TemporaryDirectory(prefix="fimls-eval-") as directory:
            done = subprocess.run(  # noqa: S603 - our own script
                _jailed(directory, self._limits, (), probe=True),
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
        found = json.loads(done.stdout) if done.returncode == 0 else {}
        return {
            "network": found.get("network") or "NOT cut off",
            "writes": f"own directory only ({found['writes']})"
            if found.get("writes")
            else "NOT confined",
            "time": f"{self._limits.cpu_s} s of processor, "
            f"{self._limits.cpu_s * WALL_PER_CPU} s of wall clock",
            "memory": f"{self._limits.memory_mib} MiB (Java, C#: {HEAP_MIB} MiB of heap)",
        }

    def obstacle(self, hole: Hole) -> str:
        """Why a hole cannot be judged here; empty when it can."""
        if isinstance(hole.proof, Match) or hole.language == "python":
            return ""
        toolchain = TOOLCHAINS.get(hole.language)
        if toolchain is None:
            return f"no tool chain for {hole.language} is known"
        missing = [name for name in toolchain.needs if shutil.which(name) is None]
        return f"{', '.join(missing)} missing (install {toolchain.package})" if missing else ""

    def judge(self, hole: Hole, text: str) -> Verdict:
        """Whether the hole's program works with ``text`` in it."""
        if isinstance(hole.proof, Match):
            matches = means_the_same(text, hole.truth, hole.language)
            return Verdict.PASSED if matches else Verdict.FAILED
        if hole.language == "python" and not compiles(hole.program(text)):
            return Verdict.FAILED
        with tempfile.TemporaryDirectory(prefix="fimls-eval-") as directory:
            return self._execute(hole, text, Path(directory))

    def _execute(self, hole: Hole, text: str, directory: Path) -> Verdict:
        source = hole.program(text)
        nonce = ""
        if isinstance(hole.proof, Check):
            # Reached only when no assert failed and nothing left the program early.
            nonce = secrets.token_hex(8)
            source += f"\nprint({nonce!r})\n"
        run: tuple[str, ...] = ()
        limits = self._limits
        if hole.language == "python":
            (directory / "main.py").write_text(source, encoding="utf-8", newline="\n")
        else:
            toolchain = TOOLCHAINS[hole.language]
            names = _java_names(source) if hole.language == "java" else {}
            path = directory / toolchain.source.format(**names)
            path.write_text(source, encoding="utf-8", newline="\n")
            build = tuple(part.format(**names) for part in toolchain.build)
            verdict, _ = self._run(directory, build, _roomy(BUILD_LIMITS, toolchain), "")
            if verdict is not Verdict.PASSED:
                return Verdict.FAILED
            run = tuple(part.format(**names) for part in toolchain.run)
            limits = _roomy(self._limits, toolchain)
        if isinstance(hole.proof, InputOutput):
            for exchange in hole.proof.exchanges:
                verdict, output = self._run(directory, run, limits, exchange.given)
                if verdict is not Verdict.PASSED:
                    return verdict
                if not any(_same_output(output, expected) for expected in exchange.expected):
                    return Verdict.FAILED
            return Verdict.PASSED
        verdict, output = self._run(directory, run, limits, "")
        if verdict is Verdict.PASSED and nonce not in output:
            return Verdict.FAILED
        return verdict

    def _run(
        self, directory: Path, command: Sequence[str], limits: Limits, given: str
    ) -> tuple[Verdict, str]:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as typed:
            typed.write(given.encode())
            typed.seek(0)
            verdict = _wait(directory, command, limits, typed, output)
            output.seek(0)
            return verdict, output.read(MOST_OUTPUT_BYTES).decode("utf-8", "replace")


def compiles(source: str) -> bool:
    """Whether Python takes ``source``; a hundred times cheaper than running it to see."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(source, "candidate", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def means_the_same(text: str, truth: str, language: str) -> bool:
    """Equal but for white space; in Python, calls also but for the order of keywords."""
    if "".join(text.split()) == "".join(truth.split()):
        return True
    if language != "python":
        return False
    try:
        ours, theirs = (_canonical(ast.parse(code.strip(), mode="eval")) for code in (text, truth))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return ours == theirs


def _canonical(tree: ast.Expression) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            node.keywords.sort(key=lambda keyword: keyword.arg or "")
    return ast.dump(tree)


def _wait(
    directory: Path, command: Sequence[str], limits: Limits, typed: IO[bytes], output: IO[bytes]
) -> Verdict:
    environment = {
        "PATH": os.environ.get("PATH", ""), "HOME": str(directory), "TMPDIR": str(directory),
        "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "JAVA_TOOL_OPTIONS": "",
        "MONO_GC_PARAMS": f"max-heap-size={HEAP_MIB}m",
    }  # fmt: skip
    process = subprocess.Popen(  # noqa: S603 - running it is the point; the jail is around it
        _jailed(str(directory), limits, command),
        stdin=typed, stdout=output, stderr=subprocess.DEVNULL,
        cwd=directory, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        code = process.wait(timeout=limits.cpu_s * WALL_PER_CPU)
    except subprocess.TimeoutExpired:
        return Verdict.TIMEOUT
    finally:
        _end(process)
    if code == -signal.SIGXCPU:
        return Verdict.TIMEOUT
    return Verdict.PASSED if code == 0 else Verdict.FAILED


def _end(process: subprocess.Popen[bytes]) -> None:
    """The candidate and what it started, but for what has left its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()


def _jailed(
    directory: str, limits: Limits, command: Sequence[str], *, probe: bool = False
) -> list[str]:
    settings = {
        "directory": directory,
        "cpu_s": limits.cpu_s,
        "memory_bytes": limits.memory_mib * MEBIBYTE,
        "file_bytes": MOST_OUTPUT_BYTES,
        "probe": probe,
    }
    # -S: no site-packages, so that results do not depend on what happens to be installed.
    return [sys.executable, "-I", "-S", str(JAIL), json.dumps(settings), *command]


def _roomy(limits: Limits, toolchain: Toolchain) -> Limits:
    return Limits(limits.cpu_s, 0) if toolchain.maps_much else limits


def _same_output(ours: str, expected: str) -> bool:
    """Line by line, blank space at line ends and blank lines at the end do not count."""
    return [line.rstrip() for line in ours.rstrip().split("\n")] == [
        line.rstrip() for line in expected.rstrip().split("\n")
    ]


def _java_names(source: str) -> dict[str, str]:
    """Javac wants a public class in a file of its name; java wants the class with main."""
    public = re.search(r"\bpublic\s+(?:final\s+|abstract\s+)*class\s+(\w+)", source)
    main = re.search(r"\bstatic\s+(?:final\s+)?(?:public\s+)?void\s+main\s*\(", source)
    classes = re.findall(r"^[^\S\n]*(?:public\s+|final\s+|abstract\s+)*class\s+(\w+)",
                         source[: main.start()] if main else source, re.MULTILINE)  # fmt: skip
    public_name = public.group(1) if public else "Main"
    # The nearest class above is usually it; when main stands in the public class, that one is.
    main_name = public_name if public_name in classes else (classes or [public_name])[-1]
    return {"public": public_name, "main": main_name}
