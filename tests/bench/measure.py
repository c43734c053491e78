"""Reads CPU time and memory of process trees out of /proc."""

import os
import platform
import subprocess

TICK = os.sysconf("SC_CLK_TCK")


def _stats():
    """{pid: (parent, CPU seconds with those of its ended children)} of all that /proc shows."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(name)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICK)
    return found


def _tree(stats, root):
    """The process `root` and all below it."""
    below = {}
    for pid, (parent, _) in stats.items():
        below.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pid in stats:
            found.append(pid)
            todo += below.get(pid, [])
    return found


def cpu(root):
    """CPU seconds, user and system, that `root` and all its children used so far."""
    stats = _stats()
    return sum(stats[pid][1] for pid in _tree(stats, root))


def memory(root):
    """Proportional set size of `root` and all below it, in octets: shared pages count once."""
    total = 0
    for pid in _tree(_stats(), root):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                for line in file:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
                        break
        except OSError:
            continue
    return total


def machine_cpu():
    """(CPU seconds of the whole machine, CPU seconds of this process and all below it)."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = list(map(int, file.readline().split()[1:]))
    busy = sum(fields[:3]) + sum(fields[5:8])       # without idle and iowait
    return busy / TICK, cpu(os.getpid())


def _first(*argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).splitlines()[0].strip()
    except (OSError, IndexError):
        return "?"


def machine():
    """Lines that say what was measured on."""
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    with open("/proc/meminfo", encoding="ascii") as file:
        total = int(file.readline().split()[1]) / 2 ** 20
    packages = {}
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n"],
                           capture_output=True, text=True, check=False).stdout
    for line in shown.splitlines():
        name, _, version = line.partition(" ")
        packages[name] = version
    wanted = ["libssl3", "libunbound8", "libsqlite3-0", "libboost1.81-dev", "libboost1.74-dev",
              "postfix", "nginx", "unbound", "g++"]
    return [f"{os.cpu_count()} cores, {model}, {total:.0f} GiB",
            f"{_first('sh', '-c', '. /etc/os-release; echo $PRETTY_NAME')}, "
            f"Linux {platform.release()}",
            ", ".join(f"{x} {packages[x]}" for x in wanted if x in packages)]
