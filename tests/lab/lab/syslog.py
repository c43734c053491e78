"""A syslog of the lab's own, for MTAs that log nowhere else."""

import os
import socket
import subprocess
import threading

from .procs import wake


def private_dev(directory):
    """Covers /dev with a tmpfs of links to the same devices, so that /dev/log is the lab's own.

    It ends with the mount namespace; `directory` keeps the old one reachable.
    """
    old = os.path.join(directory, "dev")
    os.makedirs(old)
    names = [name for name in os.listdir("/dev") if name != "log"]
    subprocess.run(["mount", "--rbind", "/dev", old], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "lab-dev", "/dev"], check=True)
    for name in names:
        os.symlink(os.path.join(old, name), os.path.join("/dev", name))


class Syslog:
    """Listens at /dev/log from start() to stop(); `text` is what was said, a line each."""

    _private = False

    def __init__(self, directory):
        self.directory, self.lines, self._socket, self._thread = directory, [], None, None

    @property
    def text(self):
        """All lines so far."""
        return "\n".join(self.lines)

    def start(self):
        """Listens."""
        if not Syslog._private:
            os.makedirs("/mnt/syslog", exist_ok=True)
            private_dev("/mnt/syslog")
            Syslog._private = True
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        return self

    def stop(self):
        """The end."""
        wake(self._socket)
        self._thread.join(5)
        self._socket.close()
        os.remove("/dev/log")

    def _loop(self):
        while True:
            data = self._socket.recv(65536)
            if not data:
                return
            self.lines.append(data.decode("utf-8", "replace").rstrip("\n\0"))
