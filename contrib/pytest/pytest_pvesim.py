"""A pytest plugin: the fixture `pvesim` is a simulated Proxmox VE cluster.

It starts `pve-mcp sim` on a free port of the loopback interface, and stops it when the test
ends. The program is `pve-mcp` in the PATH, or the one that the variable PVE_MCP names.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import subprocess
import tempfile
import threading
from typing import Dict

import pytest

PATIENCE = 30  # seconds until the simulator has to be ready


@dataclasses.dataclass(frozen=True)
class Simulator:
    """Where a simulated cluster listens, and who may log in."""

    host: str
    port: int
    fingerprint: str  # SHA-256 of the certificate, as PVE writes it
    ca: str  # path of the CA's certificate: a value for verify, or verify_ssl of proxmoxer
    token_id: str  # USER@REALM!NAME
    token_secret: str
    tokens: Dict[str, str]  # the secrets of all tokens, by id
    passwords: Dict[str, str]  # of the users who have one

    @property
    def url(self) -> str:
        return "https://%s:%d" % (self.host, self.port)

    @property
    def user(self) -> str:
        """The user of the token."""
        return self.token_id.split("!")[0]

    @property
    def token_name(self) -> str:
        return self.token_id.split("!")[1]

    @property
    def password(self) -> str:
        """The password of the user of the token."""
        return self.passwords[self.user]


def flags(options):
    """The flags of pve-mcp sim for options: model="lab", all_nodes=True, fault=["...", "..."]."""
    out = []
    for name, value in options.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            flag = "--" + name.replace("_", "-")
            if one is True:
                out.append(flag)
            elif one is not False and one is not None:
                out.append("%s=%s" % (flag, one))
    return out


@contextlib.contextmanager
def simulator(**options):
    """Runs a simulated cluster, with the flags of pve-mcp sim as options."""
    program = os.environ.get("PVE_MCP", "pve-mcp")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        ca = pathlib.Path(folder, "ca.pem")
        command = [program, "sim", "--listen=127.0.0.1:0", "--token=root@pam!full", "--ca=%s" % ca]
        try:
            process = subprocess.Popen(command + flags(options), stdout=subprocess.PIPE, stderr=errors, text=True)
        except OSError as e:
            raise RuntimeError("%s cannot be started: put pve-mcp into the PATH, or its path into PVE_MCP: %s" % (program, e)) from e
        with process:
            late = threading.Timer(PATIENCE, process.kill)
            late.start()
            try:
                said = _until_ready(process.stdout)
                late.cancel()
                if said is None:
                    process.wait()
                    errors.seek(0)
                    raise RuntimeError("pve-mcp sim is not ready: %s" % errors.read().strip())
                yield _simulator(said, str(ca))
            finally:
                late.cancel()
                process.terminate()


def _until_ready(output):
    lines = []
    for line in output:
        lines.append(line)
        if line.startswith("# ready"):
            return "".join(lines)
    return None


def _simulator(said, ca):
    variables = dict(re.findall(r"^export (\w+)='(.*)'$", said, re.M))
    host, port = re.search(r"^# ready: https://(.+):(\d+)$", said, re.M).groups()
    return Simulator(
        host=host,
        port=int(port),
        fingerprint=variables["PVE_FINGERPRINT"].split(",")[0],
        ca=ca,
        token_id=variables["PVE_TOKEN_ID"],
        token_secret=variables["PVE_TOKEN_SECRET"],
        tokens=dict(re.findall(r"^#   (\S+![^\s=]+)=(\S+)$", said, re.M)),
        passwords=dict(re.findall(r"^#   (\S+) logs in with (.+)$", said, re.M)),
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "pvesim(**flags): flags of pve-mcp sim for the fixture pvesim, such as model='lab'")


@pytest.fixture(scope="session")
def pvesim_options():
    """The flags of every cluster. A conftest.py can override it."""
    return {}


def _asked(request, options):
    marker = request.node.get_closest_marker("pvesim")
    return {**options, **(marker.kwargs if marker else {}), **getattr(request, "param", {})}


@pytest.fixture
def pvesim(request, pvesim_options):
    """A cluster for one test."""
    with simulator(**_asked(request, pvesim_options)) as sim:
        yield sim


@pytest.fixture(scope="session")
def pvesim_session(request, pvesim_options):
    """A cluster for all tests, which see what the others have changed."""
    with simulator(**_asked(request, pvesim_options)) as sim:
        yield sim
