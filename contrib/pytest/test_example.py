"""How tests of a program that uses proxmoxer look."""

import time

import pytest
from proxmoxer import ProxmoxAPI, ResourceException


def by_token(sim):
    return ProxmoxAPI(sim.host, port=sim.port, user=sim.user, token_name=sim.token_name, token_value=sim.token_secret, verify_ssl=sim.ca)


def by_password(sim):
    return ProxmoxAPI(sim.host, port=sim.port, user=sim.user, password=sim.password, verify_ssl=sim.ca)


def wait(pve, upid):
    """Waits for a task, and returns how it ended."""
    task = pve.nodes(upid.split(":")[1]).tasks(upid)
    for _ in range(300):
        status = task.status.get()
        if status["status"] == "stopped":
            return status["exitstatus"]
        time.sleep(0.05)
    raise TimeoutError(upid)


@pytest.mark.pvesim(speed=100)
@pytest.mark.parametrize("login", [by_token, by_password])
def test_restart(pvesim, login):
    pve = login(pvesim)
    vm = pve.nodes("pve1").qemu(100)
    for action, then in ("stop", "stopped"), ("start", "running"):
        assert wait(pve, vm.status(action).post()) == "OK"
        assert vm.status.current.get()["status"] == then


@pytest.mark.pvesim(speed=100)
def test_a_task_that_fails(pvesim):
    pve = by_token(pvesim)
    assert wait(pve, pve.nodes("pve3").qemu(105).status.start.post()) == "start failed: QEMU exited with code 1"


@pytest.mark.parametrize("pvesim", [{"pve": "8"}, {"pve": "9", "model": "lab"}], indirect=True, ids=["8", "9"])
def test_versions(pvesim, request):
    assert by_token(pvesim).version.get()["version"].startswith(request.node.callspec.id + ".")


@pytest.mark.pvesim(fault='GET /version status=596 message="Connection timed out" max=1')
def test_a_request_that_fails_once(pvesim):
    pve = by_token(pvesim)
    with pytest.raises(ResourceException) as e:
        pve.version.get()
    assert e.value.status_code == 596
    assert pve.version.get()["release"]


@pytest.mark.pvesim(speed=100, scenario="full-disk")
def test_a_full_disk(pvesim):
    pve = by_token(pvesim)
    assert wait(pve, pve.nodes("pve1").vzdump.post(vmid=200, storage="nfs")) == "job errors"


def test_a_token_that_may_do_nothing(pvesim_session):
    sim, name = pvesim_session, "none@pve!mcp"
    pve = ProxmoxAPI(sim.host, port=sim.port, user="none@pve", token_name="mcp", token_value=sim.tokens[name], verify_ssl=sim.ca)
    with pytest.raises(ResourceException) as e:
        pve.cluster.status.get()
    assert e.value.status_code == 403


def test_a_cluster_for_all_tests(pvesim_session):
    assert len(by_password(pvesim_session).nodes.get()) == 3
