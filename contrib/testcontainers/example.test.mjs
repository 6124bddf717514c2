// A test that starts the image of the simulated cluster, and waits until its health check
// says that it serves.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import proxmoxApi from 'proxmox-api'
import { GenericContainer, Wait } from 'testcontainers'
import { Agent, fetch } from 'undici'

const image = process.env.PVESIM_IMAGE ?? 'pvesim'

test('the nodes of a cluster in a container', async t => {
  const container = await new GenericContainer(image)
    .withCommand(['--pve', '8', '--scenario', 'full-disk']) // more flags of pve-mcp sim
    .withExposedPorts(8006)
    .withWaitStrategy(Wait.forHealthCheck())
    .start()
  t.after(() => container.stop())
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } }) // the certificate is new with each start
  t.after(() => dispatcher.destroy())
  const pve = proxmoxApi({
    host: container.getHost(), port: container.getMappedPort(8006), username: 'root@pam', password: 'simulated',
    fetch: (url, init) => fetch(url, { ...init, dispatcher }),
  })
  assert.match((await pve.version.$get()).version, /^8\./)
  assert.deepEqual((await pve.nodes.$get()).map(node => node.node).sort(), ['pve1', 'pve2', 'pve3'])
})
