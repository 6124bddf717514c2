"""The life of a VM, told with Debian's python3-proxmoxer. It ends with a line that
says how many tasks ran."""

import os
import sys
import time
from urllib.parse import urlsplit

import urllib3
from proxmoxer import ProxmoxAPI, ResourceException

urllib3.disable_warnings()  # the certificate is self-signed
host = urlsplit(os.environ["PVE_HOST"])
user, token = os.environ["PVE_TOKEN_ID"].split("!")
pve = ProxmoxAPI(
    host.hostname, port=host.port, user=user, token_name=token, token_value=os.environ["PVE_TOKEN_SECRET"], verify_ssl=False,
)
tasks = 0


def wait(upid, ends="OK"):
    """Awaits a task, which has to end as expected."""
    global tasks
    tasks += 1
    node = upid.split(":")[1]
    for _ in range(600):
        status = pve.nodes(node).tasks(upid).status.get()
        if status["status"] == "stopped":
            log = [line["t"] for line in pve.nodes(node).tasks(upid).log.get(limit=0)]
            assert status["exitstatus"] == ends, (status, log)
            assert log[-1].startswith("TASK"), log
            return
        time.sleep(0.1)
    sys.exit("%s did not end" % upid)


def state(vm):
    return vm.status.current.get()["status"]


node = pve.nodes(pve.nodes.get()[0]["node"])
assert {"pve1", "pve2", "pve3"} == {n["node"] for n in pve.nodes.get()}

# create, start
wait(node.qemu.create(vmid=500, name="python", memory=1024, cores=2, scsi0="local-zfs:8", net0="virtio,bridge=vmbr0"))
vm = node.qemu(500)
wait(vm.status.start.post())
assert state(vm) == "running"
config = vm.config.get()
assert config["memory"] in (1024, "1024") and config["cores"] == 2, config

# snapshot, and back
wait(vm.snapshot.create(snapname="before", description="as it was"))
vm.config.put(name="changed")
wait(vm.snapshot("before").rollback.post())
assert vm.config.get()["name"] == "python" and state(vm) == "stopped"
assert {s["name"] for s in vm.snapshot.get()} == {"before", "current"}

# clone: in full, and a linked one of a template
wait(vm.clone.post(newid=501, name="copy", full=1))
wait(node.qemu(900).clone.post(newid=502, name="linked"))
assert "base-900-disk-0" in node.qemu(502).config.get()["scsi0"]

# backup, restore
wait(node.vzdump.post(vmid=500, storage="nfs", mode="snapshot", compress="zstd"))
backup = [v for v in node.storage("nfs").content.get(content="backup") if v.get("vmid") == 500][0]
wait(node.qemu.create(vmid=503, archive=backup["volid"], storage="local-zfs"))
assert node.qemu(503).config.get()["name"] == "python"

# a container, as well
wait(node.lxc.create(vmid=510, hostname="box", ostemplate="local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst", rootfs="local-zfs:4", memory=512))
wait(node.lxc(510).status.start.post())
wait(node.lxc(510).status.stop.post())

# what is refused is refused
try:
    node.qemu(999).config.get()
    sys.exit("a VM that does not exist has a configuration")
except ResourceException as e:
    assert e.status_code == 500 and "does not exist" in str(e), e
try:
    node.qemu.create(vmid=504, cores="many")
    sys.exit("a VM with many cores was made")
except ResourceException as e:
    assert e.status_code == 400 and "Parameter verification failed." in str(e), e
wait(node.qemu(500).snapshot.create(snapname="before"), ends="snapshot name 'before' already used")

# delete
wait(vm.snapshot("before").delete())
for guest in node.qemu(500), node.qemu(501), node.qemu(502), node.qemu(503), node.lxc(510):
    wait(guest.delete())
assert not {500, 501, 502, 503, 510} & {r.get("vmid") for r in pve.cluster.resources.get(type="vm")}
print("%d tasks" % tasks)
