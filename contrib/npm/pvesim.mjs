// Starts a simulated Proxmox VE cluster (pve-mcp sim) for a test, and stops it. No
// dependencies; the types are in pvesim.d.mts.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const patience = 30_000 // milliseconds until the simulator has to be ready

/** The flags of pve-mcp sim for options: { model: 'lab', allNodes: true, fault: ['…', '…'] }. */
function flags(options) {
  return Object.entries(options).flatMap(([name, value]) => [value].flat().flatMap(one => {
    const flag = '--' + name.replace(/[A-Z]/g, letter => '-' + letter.toLowerCase())
    return one === true ? [flag] : one === false || one === undefined ? [] : [`${flag}=${one}`]
  }))
}

export async function start({ program = process.env.PVE_MCP ?? 'pve-mcp', ...options } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'pvesim-'))
  const file = join(folder, 'ca.pem')
  const child = spawn(program, ['sim', '--listen=127.0.0.1:0', '--token=root@pam!full', `--ca=${file}`, ...flags(options)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise(resolve => child.once('close', resolve).once('error', resolve))
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const stop = async () => {
    process.off('exit', kill)
    child.kill()
    await ended
    await rm(folder, { recursive: true })
  }
  try {
    const said = await untilReady(child, program)
    return { ...parse(said), ca: await readFile(file, 'utf8'), stop, [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What the simulator prints until it is ready. */
function untilReady(child, program) {
  return new Promise((resolve, reject) => {
    let errors = ''
    const lines = []
    const late = setTimeout(() => reject(new Error(`pve-mcp sim was not ready after ${patience / 1000} s`)), patience)
    const fail = error => { clearTimeout(late); reject(error) }
    child.once('error', error => fail(new Error(`${program} cannot be started: put pve-mcp into the PATH, or its path into PVE_MCP: ${error.message}`)))
    child.once('close', () => fail(new Error(`pve-mcp sim is not ready: ${errors.trim()}`)))
    child.stderr.on('data', data => { errors += data })
    createInterface(child.stdout).on('line', line => {
      lines.push(line)
      if (line.startsWith('# ready')) {
        clearTimeout(late)
        resolve(lines.join('\n') + '\n')
      }
    })
  })
}

function parse(said) {
  const all = expression => Object.fromEntries([...said.matchAll(expression)].map(match => match.slice(1)))
  const variables = all(/^export (\w+)='(.*)'$/gm)
  const [, host, port] = /^# ready: https:\/\/(.+):(\d+)$/m.exec(said)
  const user = variables.PVE_TOKEN_ID.split('!')[0]
  const passwords = all(/^# {3}(\S+) logs in with (.+)$/gm)
  return {
    url: `https://${host}:${port}`, host, port: Number(port), fingerprint: variables.PVE_FINGERPRINT.split(',')[0],
    tokenID: variables.PVE_TOKEN_ID, tokenSecret: variables.PVE_TOKEN_SECRET, tokens: all(/^# {3}(\S+![^\s=]+)=(\S+)$/gm),
    user, password: passwords[user], passwords,
  }
}
