"""nginx as a plain-text mail proxy: what passing on alone costs, without TLS, policy, DNS or log.

Every session goes to one MX, whose address nginx asks of itself (auth_http) at the first RCPT. It
authenticates nobody.
"""

import os
import shutil
import subprocess
import tempfile

from lab import procs

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = "usr/lib/nginx/modules/ngx_mail_module.so"
# Where contrib/lab-packages unpacks Debian's libnginx-mod-mail, and where apt puts it.
PLACES = (os.path.join(HERE, "..", "..", "build", "lab", "nginx-mail", FILE), "/" + FILE)


def module():
    """The path of the mail module; None: nginx or its module is missing, or they do not fit."""
    for path in map(os.path.abspath, PLACES):
        if shutil.which("nginx") and os.path.exists(path):
            with tempfile.TemporaryDirectory() as directory:
                config = os.path.join(directory, "nginx.conf")
                with open(config, "w", encoding="utf-8") as file:
                    file.write(f"load_module {path};\npid {directory}/pid;\nevents {{}}\n")
                if subprocess.run(["nginx", "-t", "-c", config, "-e", f"{directory}/error.log"],
                                  capture_output=True, check=False).returncode == 0:
                    return path
    return None


class Nginx:
    """One worker, as Sternpost's relay threads and the others share the machine."""

    kind = "nginx"
    name = "nginx, plain text"
    synchronous = True

    def __init__(self, world, mode):
        self.world, self.mode, self.daemon = world, mode, None
        number = world.number()
        self.address, self.directory = f"127.0.2.{number}", world.lab.path(f"nginx-{number}")
        os.makedirs(self.directory)

    @staticmethod
    def installed():
        """Whether it is there, with its mail module."""
        return module() is not None

    def options(self):
        """Where bench_load goes."""
        return {"target": f"{self.address}:25"}

    @property
    def pid(self):
        """The master."""
        return self.daemon.pid

    def start(self):
        """Starts it."""
        self.world.lab.add(_Started(self))

    def stop(self):
        """Ends it."""
        self.daemon.stop()

    def run(self):
        """Writes its configuration and starts the process."""
        path = os.path.join(self.directory, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._config())
        self.daemon = procs.Daemon("nginx", ["nginx", "-c", path, "-e",
                                             os.path.join(self.directory, "error.log")],
                                   os.path.join(self.directory, "nginx.log"))
        self.daemon.start(lambda: procs.port_open(self.address, 25))

    def _config(self):
        temporary = "".join(f"  {kind}_temp_path {self.directory}/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""load_module {module()};
daemon off;
user root;
worker_processes 1;
pid {self.directory}/nginx.pid;
error_log {self.directory}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off;
{temporary}  server {{
    listen {self.address}:8080;
    location = /auth {{
      add_header Auth-Status OK;
      add_header Auth-Server {self.world.addresses[0]};
      add_header Auth-Port 25;
      return 204;
    }}
  }}
}}
mail {{
  server_name relay.lab;
  auth_http {self.address}:8080/auth;
  proxy_buffer 16k;
  proxy_pass_error_message on;
  server {{
    listen {self.address}:25 backlog=4096;
    protocol smtp;
    smtp_auth none;
    smtp_capabilities PIPELINING "SIZE 200000000" 8BITMIME;
    xclient off;
    timeout 300s;
  }}
}}
"""


class _Started:
    """It as a part of the lab."""

    def __init__(self, relay):
        self.start, self.stop = relay.run, relay.stop
