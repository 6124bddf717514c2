/** The flags of `pve-mcp sim`, with capitals for hyphens. */
export interface Options {
  /** The program: by default PVE_MCP of the environment, or `pve-mcp` in the PATH. */
  program?: string
  /** `lab`, `cluster` (the default), `recorded`, `recorded-2`, `generated`, or a file. */
  model?: string
  /** The version of all nodes, such as `8`, `9` or `8.4.1`. */
  pve?: string
  /** How fast the cluster's time goes. */
  speed?: number
  /** Ways in which the cluster goes wrong, by name. */
  scenario?: string | string[]
  /** Rules by which requests go wrong. */
  fault?: string | string[]
  /** The token of `tokenID`: by default root@pam!full. */
  token?: string
  nodes?: number
  vms?: number
  cts?: number
  seed?: number
  allNodes?: boolean
  state?: string
}

/** A simulated cluster that runs. */
export interface Simulator extends AsyncDisposable {
  url: string
  host: string
  port: number
  /** SHA-256 of the certificate, as PVE writes it. */
  fingerprint: string
  /** The CA's certificate, as PEM. */
  ca: string
  tokenID: string
  tokenSecret: string
  /** The secrets of all tokens, by id. */
  tokens: Record<string, string>
  /** The user of the token. */
  user: string
  /** The password of that user. */
  password: string
  /** The passwords of users, by id. */
  passwords: Record<string, string>
  /** Ends the cluster. */
  stop(): Promise<void>
}

/** Starts a simulated cluster on a free port of the loopback interface. */
export function start(options?: Options): Promise<Simulator>
