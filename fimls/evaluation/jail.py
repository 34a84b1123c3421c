"""Runs one program with nothing but its own directory: started as a script, never imported.

    python -I -S jail.py '{"directory": …, "cpu_s": …, …}' [command …]

Without a command it runs ``main.py`` in this very process, which saves the start
of a second interpreter. Each measure that the kernel refuses is left out;
``{"probe": true}`` prints those in force, so that nobody has to guess.

Sources: unshare(2), seccomp(2), landlock(7); the numbers are Linux's own.
"""

import contextlib
import ctypes
import json
import os
import platform
import resource
import struct
import sys
from typing import Any

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
# AUDIT_ARCH value and the number of socket(2).
SECCOMP_ARCH = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
AF_UNIX = 1
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
# write, remove and make anything: bits 1 and 4 to 12 of LANDLOCK_ACCESS_FS_*, known to ABI 1.
LANDLOCK_WRITE = 0b1_1111_1111_0010
O_PATH = 0o10000000


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def limit(cpu_s: int, memory_bytes: int, file_bytes: int) -> None:
    """Soft limits that end the program, in force on every POSIX system."""
    limits = [
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_FSIZE, file_bytes, file_bytes),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 256, 256),
    ]
    if memory_bytes:
        limits.append((resource.RLIMIT_AS, memory_bytes, memory_bytes))
    for what, soft, hard in limits:
        with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS but refuses it
            resource.setrlimit(what, (soft, hard))


def cut_network() -> str:
    """How the network was taken away; empty when it could not be."""
    if sys.platform != "linux":
        return ""
    libc = _libc()
    user, group = os.getuid(), os.getgid()
    if user == 0 and libc.unshare(CLONE_NEWNET) == 0:
        return "network namespace"
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
        with contextlib.suppress(OSError):
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{user} {user} 1")
            _write("/proc/self/gid_map", f"{group} {group} 1")
        return "network namespace"
    return "seccomp" if _deny_sockets(libc) else ""


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs 10 ms of start-up
        file.write(text)


def _deny_sockets(libc: Any) -> bool:
    """A seccomp filter under which socket(2) fails with EPERM, but for AF_UNIX."""
    if platform.machine() not in SECCOMP_ARCH:
        return False
    arch, nr_socket = SECCOMP_ARCH[platform.machine()]
    load, equal, give = 0x20, 0x15, 0x06
    allow, kill, eperm = 0x7FFF0000, 0x80000000, 0x00050001
    program = b"".join(
        struct.pack("HBBI", code, if_true, if_false, value)
        for code, if_true, if_false, value in (
            (load, 0, 0, 4),  # seccomp_data.arch
            (equal, 1, 0, arch),
            (give, 0, 0, kill),
            (load, 0, 0, 0),  # seccomp_data.nr
            (equal, 0, 3, nr_socket),
            (load, 0, 0, 16),  # seccomp_data.args[0]: the address family
            (equal, 1, 0, AF_UNIX),
            (give, 0, 0, eperm),
            (give, 0, 0, allow),
        )
    )
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) == 0)


def confine_writes(directory: str) -> str:
    """Let nothing outside ``directory`` be written; how, or empty when it could not be."""
    if sys.platform != "linux":
        return ""
    libc = _libc()
    attributes = struct.pack("Q", LANDLOCK_WRITE)
    rules = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(8), 0)
    if rules < 0:
        return ""
    for path, access in ((directory, LANDLOCK_WRITE), ("/dev/null", 0b10)):
        place = os.open(path, O_PATH)
        rule = struct.pack("=Qi", access, place)
        libc.syscall(LANDLOCK_ADD_RULE, rules, 1, rule, 0)
        os.close(place)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return ""
    return "landlock" if libc.syscall(LANDLOCK_RESTRICT_SELF, rules, 0) == 0 else ""


def main() -> None:
    settings = json.loads(sys.argv[1])
    command = sys.argv[2:]
    directory = settings["directory"]
    os.chdir(directory)
    network = cut_network()
    writes = confine_writes(directory)
    limit(settings["cpu_s"], settings["memory_bytes"], settings["file_bytes"])
    if settings.get("probe"):
        print(json.dumps({"network": network, "writes": writes}))
        return
    if command:
        os.execvp(command[0], command)  # noqa: S606 - the caller's own toolchain
    import site  # noqa: PLC0415 - only here: programs expect exit() and quit()

    site.setquit()
    with open("main.py", "rb") as file:  # noqa: PTH123
        code = compile(file.read(), "main.py", "exec", dont_inherit=True)
    sys.argv = ["main.py"]
    exec(code, {"__name__": "__main__", "__file__": "main.py"})  # noqa: S102 - what a jail is for


if __name__ == "__main__":
    main()
