"""Starting and ending servers by process id, and waiting for a state without fixed sleeps."""

import os
import signal
import socket
import subprocess
import time


class LabError(Exception):
    """A part of the lab did not do what it should; never a finding about the program under test."""


def wait_for(predicate, what, timeout=10.0, every=0.01):
    """Polls until `predicate()` is true and returns its value; LabError after `timeout` seconds.

    what: words, or a function that gives them when they are needed.
    """
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            words = what() if callable(what) else what
            raise LabError(f"waited {timeout} s in vain for {words}")
        time.sleep(every)


def port_open(host, port):
    """Whether somebody accepts TCP connections there; `host` may be IPv4 or IPv6."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        return sock.connect_ex((host, port)) == 0


def wake(sock):
    """Ends another thread's accept() or recv() on `sock`; close() alone would leave it waiting."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def run(*argv, **options):
    """subprocess.run for short commands; raises LabError with the output when one fails."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.STDOUT)
    done = subprocess.run([str(a) for a in argv], check=False, **options)
    if done.returncode != 0:
        out = done.stdout
        text = out.decode(errors="replace") if isinstance(out, bytes) else out
        raise LabError(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{text}")
    return done.stdout


class Daemon:
    """One foreground server process with its log file."""

    def __init__(self, name, argv, log, env=None, cwd=None):
        self.name, self.argv, self.log = name, [str(a) for a in argv], str(log)
        self.env, self.cwd = env, cwd
        self.process = None

    def start(self, ready, timeout=15.0, pass_fds=()):
        """Starts it and returns when `ready()` is true; LabError with the log's end otherwise."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.cwd,
                env={**os.environ, **(self.env or {})}, pass_fds=pass_fds, start_new_session=True)

        def step():
            if self.process.poll() is not None:
                raise LabError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            return ready()
        try:
            wait_for(step, f"{self.name} to be ready", timeout)
        except LabError as error:
            self.stop(grace=0.5)
            raise LabError(f"{error}\n{self.tail()}") from None
        return self

    @property
    def pid(self):
        """Its process id; None when it is not running."""
        return self.process.pid if self.alive() else None

    def alive(self):
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        """Sends a signal, if it still runs."""
        if self.alive():
            self.process.send_signal(number)

    def wait(self, timeout=10.0):
        """Waits for its end and returns the exit status, negative for a signal."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} still runs after {timeout} s") from None

    def stop(self, grace=5.0):
        """SIGTERM, and SIGKILL for it and its children when `grace` seconds did not do."""
        if not self.alive():
            return self.process.returncode if self.process else None
        self.process.terminate()
        try:
            return self.process.wait(grace)
        except subprocess.TimeoutExpired:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            return self.process.wait(5)

    def tail(self, lines=30):
        """The last lines of its log."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except FileNotFoundError:
            return ""
