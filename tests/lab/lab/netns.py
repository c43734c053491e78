"""A network, mount and PID namespace of one's own.

`enter()` re-executes the running script under unshare(1), brings the loopback up and binds private
copies over /etc/resolv.conf, /etc/hosts, /etc/passwd and /etc/group, so that the ports 25, 53 and
443 are free, the host's own services are untouched, and everything that a test started ends with it
(the PID namespace's first process is the script). Called by every test and the demo, first.
"""

import os
import subprocess
import sys
import tempfile

INSIDE = "STERNPOST_LAB_INSIDE"
V6 = [f"fd00:25::{n:x}" for n in range(1, 33)]
RESOLVER = "127.0.0.53"
USERS = {"Debian-exim": 65432, "sternpost": 65430}     # where the host has none of that name


def enter():
    """Returns inside the namespaces; exits 69 for a user who may not make them."""
    if os.environ.get(INSIDE) == "1":
        return
    if os.geteuid() != 0:
        print("the lab needs root, for namespaces, Postfix and Exim", file=sys.stderr)
        sys.exit(69)
    os.environ[INSIDE] = "1"
    argv = ["unshare", "-n", "-m", "-p", "--fork", "--kill-child", "--mount-proc",
            sys.executable, *sys.argv]
    os.execvp(argv[0], argv)


def inside():
    """Whether this process already has its own namespaces."""
    return os.environ.get(INSIDE) == "1"


def set_up_network():
    """Loopback with its IPv6 addresses; harmless when called twice."""
    lines = ["link set lo up"] + [f"addr replace {a}/128 dev lo nodad" for a in V6]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def set_up_etc(directory):
    """Binds private copies over the few files in /etc that the servers read; in `directory`."""
    users = {"/etc/passwd": [f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
                             for name, number in USERS.items()],
             "/etc/group": [f"{name}:x:{number}:\n" for name, number in USERS.items()]}
    texts = {"/etc/resolv.conf": f"nameserver {RESOLVER}\noptions edns0 trust-ad timeout:2\n",
             "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
             "/etc/mailname": "front.lab\n"}
    for path, lines in users.items():
        with open(path, encoding="utf-8") as file:
            text = file.read()
        known = {x.split(":")[0] for x in text.splitlines()}
        texts[path] = text + "".join(x for x in lines if x.split(":")[0] not in known)
    for path, text in texts.items():
        if not os.path.exists(path):
            continue
        copy = os.path.join(directory, "etc-" + os.path.basename(path))
        with open(copy, "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run(["mount", "--bind", copy, os.path.realpath(path)], check=True)


def set_up_users(users):
    """Adds users {name: (id, home)}, each with a group of its own, to the private copies."""
    for path, line in (("/etc/passwd", "{name}:x:{id}:{id}::{home}:/usr/sbin/nologin\n"),
                       ("/etc/group", "{name}:x:{id}:\n")):
        with open(path, "r+", encoding="utf-8") as file:
            text = file.read()
            for name, (number, home) in users.items():
                if f"{name}:" not in text:
                    file.write(line.format(name=name, id=number, home=home))


def scratch(keep=None):
    """A directory for one lab, readable to the users that the servers drop to.

    Without `keep` it lies in a tmpfs over /mnt that vanishes with the mount namespace.
    """
    if keep:
        os.makedirs(keep, exist_ok=True)
        os.chmod(keep, 0o755)
        return keep
    if not os.path.ismount("/mnt"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=4g", "lab", "/mnt"],
                       check=True)
    directory = tempfile.mkdtemp(prefix="lab-", dir="/mnt")
    os.chmod(directory, 0o755)
    return directory
