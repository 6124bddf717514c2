// How tests of a program that uses proxmox-api look.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import proxmoxApi from 'proxmox-api'
import { Agent, fetch } from 'undici'
import { start } from 'pvesim'

/** A cluster that ends with the test, and its client, which trusts the cluster's CA. */
async function cluster(t, options, login = sim => ({ tokenID: sim.tokenID, tokenSecret: sim.tokenSecret })) {
  const sim = await start(options)
  const dispatcher = new Agent({ connect: { ca: sim.ca } })
  t.after(async () => {
    await dispatcher.destroy()
    await sim.stop()
  })
  const pve = proxmoxApi({ host: sim.host, port: sim.port, ...login(sim), fetch: (url, init) => fetch(url, { ...init, dispatcher }) })
  return { sim, pve }
}

/** Waits for a task, and returns how it ended. */
async function ending(pve, upid) {
  const task = pve.nodes.$(upid.split(':')[1]).tasks.$(upid)
  for (let i = 0; i < 300; i++) {
    const status = await task.status.$get()
    if (status.status === 'stopped') return status.exitstatus
    await sleep(50)
  }
  throw new Error(`${upid} does not end`)
}

const logins = { token: undefined, password: sim => ({ username: sim.user, password: sim.password }) }
for (const [name, login] of Object.entries(logins)) {
  test(`a VM is stopped and started, with a ${name}`, async t => {
    const { pve } = await cluster(t, { speed: 100 }, login)
    const vm = pve.nodes.$('pve1').qemu.$(100)
    for (const [action, then] of [['stop', 'stopped'], ['start', 'running']]) {
      assert.equal(await ending(pve, await vm.status[action].$post()), 'OK')
      assert.equal((await vm.status.current.$get()).status, then)
    }
  })
}

test('a task fails', async t => {
  const { pve } = await cluster(t, { speed: 100 })
  assert.equal(await ending(pve, await pve.nodes.$('pve3').qemu.$(105).status.start.$post()), 'start failed: QEMU exited with code 1')
})

for (const pve of ['8', '9']) {
  test(`PVE ${pve}`, async t => {
    const { pve: client } = await cluster(t, { pve, model: 'lab' })
    assert.match((await client.version.$get()).version, new RegExp(`^${pve}\\.`))
  })
}

test('the answer to a start is lost', async t => {
  const { pve } = await cluster(t, { speed: 100, fault: ['POST /nodes/*/lxc/*/status/start status=596 message="Connection timed out"'] })
  await assert.rejects(() => pve.nodes.$('pve3').lxc.$(204).status.start.$post(), /596 Connection timed out/)
})

test('a program that is not there', async () => {
  await assert.rejects(() => start({ program: '/nowhere/pve-mcp' }), /put pve-mcp into the PATH/)
  await assert.rejects(() => start({ scenario: 'rain' }), /there is no "rain"; --scenario list shows them/)
})
