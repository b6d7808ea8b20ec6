"""Starts one container's program with a private /opt/ml and makes sure that nothing of it outlives the server.

Run by `sandbox` as `python -I -S launch.py SPEC LIFELINE`: SPEC is a JSON file with `namespaces` ("pid", "mount" or
"none"), `root` (the directory that becomes /opt/ml), `hostname` and `hosts` (a file that becomes /etc/hosts; both empty
for the machine's own), `control`, `command`, `environment` and `directory`. LIFELINE is the reading end of a pipe that
the server holds open. When the server closes it, or dies, every process started here is killed. SIGTERM is passed on to
the program; the exit status is the program's (128 + n for signal n). Only the standard library, and little of it: this
runs before every job.

With `control`, the descriptor of a Unix socket, the program gets its own network with nothing in it but the
loopback interface. For each byte "s" the server is given a socket of that network, by which it reaches the program and
the program reaches it; the program starts at the byte "g".
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_NOT_FOUND, _NOT_EXECUTABLE, _KILLED = 127, 126, 137

Spec = dict[str, Any]  # what to run and how: see sandbox.start


def main() -> NoReturn:
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
        spec = json.load(file)
    lifeline = int(sys.argv[2])
    if spec["namespaces"] == "none":
        _supervise(spec, lifeline)
    _unshare(spec)
    init = os.fork()
    if init == 0:
        _libc("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _mount_opt_ml(spec["root"], own_proc=spec["namespaces"] == "pid")
        _set_names(spec)
        _supervise(spec, lifeline)
    os.close(lifeline)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(init, signal.SIGTERM))
    sys.exit(_exit_code(os.waitpid(init, 0)[1]))


def _unshare(spec: Spec) -> None:
    if sys.platform != "linux":
        raise OSError(f"there are no namespaces on {sys.platform}")
    flags = os.CLONE_NEWNS | os.CLONE_NEWUTS
    flags |= os.CLONE_NEWPID if spec["namespaces"] == "pid" else 0
    flags |= os.CLONE_NEWNET if spec["control"] is not None else 0
    try:
        os.unshare(flags)
    except PermissionError:  # an ordinary user, or a root without capabilities: a user namespace grants them
        uid, gid = os.getuid(), os.getgid()
        os.unshare(flags | os.CLONE_NEWUSER)
        for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(line)


def _mount_opt_ml(root: str, *, own_proc: bool) -> None:
    if sys.platform != "linux":
        raise OSError(f"no process has its own mounts on {sys.platform}")
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    if own_proc:
        _mount("proc", "/proc", "proc", 0)
    if not os.path.isdir("/opt/ml"):  # noqa: PTH112
        # a writable /opt over the real one, with the same entries
        opened = {entry.name: os.open(entry.path, os.O_PATH) for entry in os.scandir("/opt") if entry.is_dir()}
        links = {entry.name: os.readlink(entry.path) for entry in os.scandir("/opt") if entry.is_symlink()}  # noqa: PTH115
        root_file = os.open(root, os.O_PATH)
        _mount("tmpfs", "/opt", "tmpfs", 0)
        for name, target in links.items():
            os.symlink(target, f"/opt/{name}")  # noqa: PTH211
        for name, directory in opened.items():
            if name not in links:
                os.mkdir(f"/opt/{name}")  # noqa: PTH102
                _mount(f"/proc/self/fd/{directory}", f"/opt/{name}", None, _MS_BIND | _MS_REC)
            os.close(directory)
        os.mkdir("/opt/ml")  # noqa: PTH102
        _mount(f"/proc/self/fd/{root_file}", "/opt/ml", None, _MS_BIND | _MS_REC)
        os.close(root_file)
    else:
        _mount(root, "/opt/ml", None, _MS_BIND | _MS_REC)


def _set_names(spec: Spec) -> None:
    if spec["hostname"]:
        name = os.fsencode(spec["hostname"])
        _libc("sethostname", name, ctypes.c_size_t(len(name)))
    if spec["hosts"] and os.path.isfile("/etc/hosts"):  # noqa: PTH113
        _mount(spec["hosts"], "/etc/hosts", None, _MS_BIND)


class _Network:
    """This process's own network; the server asks for its sockets."""

    def __init__(self, control: int) -> None:
        import fcntl
        import socket

        os.set_inheritable(control, False)  # it is not the program's
        self.control = socket.socket(fileno=control)
        flags = (_IFF_UP | _IFF_RUNNING).to_bytes(2, sys.byteorder)
        with socket.socket() as probe:
            fcntl.ioctl(probe, _SIOCSIFFLAGS, b"lo".ljust(16, b"\0") + flags + bytes(22))
        while self.answer():
            pass

    def answer(self) -> bool:
        """Does what the server asks for; false once told to continue, or if the server has gone."""
        import socket

        if self.control.recv(1) != b"s":
            return False
        with socket.socket() as made:
            rights = made.fileno().to_bytes(4, sys.byteorder)
            self.control.sendmsg([b"s"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        return True


def _supervise(spec: Spec, lifeline: int) -> NoReturn:
    """Runs the program and is its init: passes SIGTERM on, reaps, and kills what is left in the end."""
    if spec["namespaces"] != "pid" and sys.platform == "linux":
        _libc("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_reading, wake_writing = os.pipe()
    os.set_blocking(wake_writing, False)
    signal.set_wakeup_fd(wake_writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    terminate = []
    signal.signal(signal.SIGTERM, lambda *_: terminate.append(True))
    network = None if spec["control"] is None else _Network(spec["control"])
    program = os.fork()
    if program == 0:
        _execute(spec)
    poller = select.poll()  # select() takes no descriptor over 1023
    for descriptor in (lifeline, wake_reading, *([network.control.fileno()] if network else [])):
        poller.register(descriptor, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poller.poll()]
        if lifeline in ready:
            _finish(spec, program, _KILLED)
        if network and network.control.fileno() in ready and not network.answer():
            poller.unregister(network.control.fileno())
        if wake_reading not in ready:
            continue
        os.read(wake_reading, 4096)
        if terminate:
            terminate.clear()
            os.kill(program, signal.SIGTERM)
        _reap(spec, program)


def _execute(spec: Spec) -> NoReturn:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.setpgid(0, 0)
    command, environment = spec["command"], spec["environment"]
    try:
        os.chdir(spec["directory"])
        os.execvpe(command[0], command, environment)  # noqa: S606 - to run the job's program is the purpose
    except FileNotFoundError:
        sys.stderr.write(f'exec: "{command[0]}": executable file not found in $PATH ({environment.get("PATH")})\n')
        code = _NOT_FOUND
    except OSError as error:
        sys.stderr.write(f'exec: "{command[0]}": {error.strerror}\n')
        code = _NOT_EXECUTABLE
    sys.stderr.flush()
    os._exit(code)


def _reap(spec: Spec, program: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == program:
            _finish(spec, program, _exit_code(status))


def _finish(spec: Spec, program: int, code: int) -> NoReturn:
    if spec["namespaces"] != "pid":  # otherwise the kernel kills all the others with us
        _kill_group(program)
        while children := _children():
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
    os._exit(code)


def _kill_group(program: int) -> None:
    try:
        os.killpg(program, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        return


def _children() -> list[int]:
    if sys.platform != "linux":
        return []
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
        return [int(pid) for pid in file.read().split()]


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    try:
        _libc("mount", *encoded, ctypes.c_ulong(flags), None)
    except OSError as error:
        raise OSError(error.errno, f"mounting {source or kind} on {target}: {os.strerror(error.errno or 0)}") from error


def _libc(function: str, *arguments: Any) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
