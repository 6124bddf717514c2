// Has a TypeScript SDK call a tool that answers with a picture and prints what it got, as JSON.
// Usage: picture.mjs SDK-GENERATION PROTOCOL-ERA TOOL ARGUMENTS-AS-JSON COMMAND ARGUMENT...
const [generation, era, name, args, command, ...rest] = process.argv.slice(2)

async function connect() {
  if (generation === 'v1') {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js')
    const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js')
    const client = new Client({ name: 'picture', version: '1' })
    await client.connect(new StdioClientTransport({ command, args: rest, stderr: 'ignore' }))
    return client
  }
  const { Client } = await import('@modelcontextprotocol/client')
  const { StdioClientTransport } = await import('@modelcontextprotocol/client/stdio')
  const mode = era === 'legacy' ? 'legacy' : { pin: era }
  const client = new Client({ name: 'picture', version: '1' }, { versionNegotiation: { mode } })
  await client.connect(new StdioClientTransport({ command, args: rest, stderr: 'ignore' }))
  return client
}

const client = await connect()
await client.listTools() // so that the client checks answers by the schemas of the tools
const res = await client.callTool({ name, arguments: JSON.parse(args) })
await client.close()
console.log(JSON.stringify({
  isError: res.isError === true,
  structured: res.structuredContent !== undefined,
  content: res.content.map(c => c.type === 'image' ? { type: c.type, mimeType: c.mimeType, data: c.data } : { type: c.type, text: c.text }),
}))
