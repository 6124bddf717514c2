// Lets a TypeScript SDK talk to pve-mcp over stdio and prints what it got, as JSON.
// Usage: story.mjs SDK-GENERATION PROTOCOL-ERA COMMAND ARGUMENT...
const [generation, era, command, ...args] = process.argv.slice(2)

// The human types the id, once, and declines from then on.
let asked = 0
const human = async request => ++asked === 1 ? { action: 'accept', content: { name: '204' } } : { action: 'decline' }

async function connect() {
  if (generation === 'v1') {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js')
    const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js')
    const { ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js')
    const client = new Client({ name: 'story', version: '1' }, { capabilities: { elicitation: {} } })
    client.setRequestHandler(ElicitRequestSchema, human)
    await client.connect(new StdioClientTransport({ command, args, stderr: 'ignore' }))
    return { client, call: (params, options) => client.callTool(params, undefined, options) }
  }
  const { Client } = await import('@modelcontextprotocol/client')
  const { StdioClientTransport } = await import('@modelcontextprotocol/client/stdio')
  const mode = era === 'legacy' ? 'legacy' : { pin: era }
  const client = new Client({ name: 'story', version: '1' }, { versionNegotiation: { mode }, capabilities: { elicitation: {} } })
  client.setRequestHandler('elicitation/create', human)
  await client.connect(new StdioClientTransport({ command, args, stderr: 'ignore' }))
  return { client, call: (params, options) => client.callTool(params, options) }
}

const { client, call } = await connect()
const out = { server: client.getServerVersion(), tools: (await client.listTools()).tools.map(t => t.name) }

const list = await call({ name: 'pve_list_guests', arguments: { tag: 'db' } })
out.guests = list.structuredContent.guests.map(g => g.vmid)

let progress = 0
const off = await call({ name: 'pve_guest_power', arguments: { vmid: '102', action: 'shutdown' } }, { onprogress: () => progress++ })
out.shutdown = off.structuredContent.outcome
out.progress = progress > 0

const failed = await call({ name: 'pve_guest_power', arguments: { vmid: 105, action: 'start' } })
out.failed = [failed.isError, failed.structuredContent.outcome, failed.structuredContent.exit_status]

const unknown = await call({ name: 'pve_guest_status', arguments: { vmid: 111 } })
out.unknown = [unknown.isError, unknown.content[0].text.slice(0, 26)]

const gone = await call({ name: 'pve_delete_guest', arguments: { vmid: 204 } })
const kept = await call({ name: 'pve_delete_guest', arguments: { vmid: 105, confirm: true } })
out.consent = [gone.structuredContent.outcome, kept.structuredContent.outcome, asked]

out.noSuchTool = await call({ name: 'pve_nothing', arguments: {} }).then(() => 'answered', e => e.code)

await client.close()
console.log(JSON.stringify(out))
