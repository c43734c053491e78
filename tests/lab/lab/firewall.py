"""The redirecting rule of contrib/nftables-transparent.nft, in the network namespace of a test."""

import os
import subprocess

from .netns import inside
from .procs import LabError, run

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.abspath(os.path.join(HERE, "../../../contrib/nftables-transparent.nft"))
LOCAL = "    fib daddr type local return\n"


class Redirect:
    """Port 25 goes to the transparent listener while this lives; `exempt`: but for this user."""

    def __init__(self, exempt="sternpost"):
        self.exempt = exempt

    def rules(self):
        """The example's, without the line for what stays on the machine: in the lab all does."""
        with open(EXAMPLE, encoding="utf-8") as file:
            text = file.read()
        if LOCAL not in text or '"sternpost" return' not in text:
            raise LabError(f"{EXAMPLE} has changed: the lab no longer knows its lines")
        return text.replace(LOCAL, "").replace('"sternpost" return', f'"{self.exempt}" return')

    def start(self):
        """Loads the rules."""
        if not inside():
            raise LabError("no firewall rules outside a namespace of the lab's own")
        done = subprocess.run(["nft", "-f", "-"], input=self.rules(), text=True, check=False,
                              capture_output=True)
        if done.returncode:
            raise LabError(f"nft: {done.stderr}")
        return self

    def stop(self):
        """Takes them away."""
        run("nft", "delete", "table", "inet", "sternpost")
