package pvesim

// agentRoutes are the endpoints of the QEMU guest agent.
func agentRoutes() routes {
	return routes{
		"POST /nodes/{node}/qemu/{vmid}/agent/exec":                  {serve: withAgent(agentExec)},
		"GET /nodes/{node}/qemu/{vmid}/agent/exec-status":            {serve: withAgent(agentExecStatus)},
		"GET /nodes/{node}/qemu/{vmid}/agent/file-read":              {serve: withAgent(agentFileRead)},
		"POST /nodes/{node}/qemu/{vmid}/agent/file-write":            {serve: withAgent(agentFileWrite)},
		"POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-freeze":       {serve: agentAnswer(func(*call, *guest) any { return 1 })},
		"POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-status":       {serve: agentAnswer(func(*call, *guest) any { return "thawed" })},
		"POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-thaw":         {serve: agentAnswer(func(*call, *guest) any { return 1 })},
		"POST /nodes/{node}/qemu/{vmid}/agent/fstrim":                {serve: agentAnswer(func(*call, *guest) any { return map[string]any{"paths": []any{}} })},
		"GET /nodes/{node}/qemu/{vmid}/agent/get-fsinfo":             {serve: agentAnswer(agentFileSystems)},
		"GET /nodes/{node}/qemu/{vmid}/agent/get-host-name":          {serve: agentAnswer(func(_ *call, g *guest) any { return map[string]any{"host-name": g.name()} })},
		"GET /nodes/{node}/qemu/{vmid}/agent/get-memory-block-info":  {serve: agentAnswer(func(*call, *guest) any { return map[string]any{"size": memoryBlock} })},
		"GET /nodes/{node}/qemu/{vmid}/agent/get-memory-blocks":      {serve: agentAnswer(agentMemory)},
		"GET /nodes/{node}/qemu/{vmid}/agent/get-osinfo":             {serve: agentAnswer(agentSystem)},
		"GET /nodes/{node}/qemu/{vmid}/agent/get-time":               {serve: agentAnswer(func(c *call, _ *guest) any { return c.now.UnixNano() })},
		"GET /nodes/{node}/qemu/{vmid}/agent/get-timezone":           {serve: agentAnswer(func(*call, *guest) any { return map[string]any{"zone": "UTC", "offset": 0} })},
		"GET /nodes/{node}/qemu/{vmid}/agent/get-users":              {serve: agentAnswer(func(*call, *guest) any { return []any{} })},
		"GET /nodes/{node}/qemu/{vmid}/agent/get-vcpus":              {serve: agentAnswer(agentCPUs)},
		"GET /nodes/{node}/qemu/{vmid}/agent/info":                   {serve: agentAnswer(agentInfo)},
		"GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces": {serve: agentAnswer(agentInterfaces)},
		"POST /nodes/{node}/qemu/{vmid}/agent/ping":                  {serve: agentAnswer(func(*call, *guest) any { return map[string]any{} })},
		"POST /nodes/{node}/qemu/{vmid}/agent/set-user-password":     {serve: withAgent(agentSetPassword)},
		"POST /nodes/{node}/qemu/{vmid}/agent/shutdown":              {serve: withAgent(agentShutdown)},
		"POST /nodes/{node}/qemu/{vmid}/agent/suspend-ram":           {serve: withAgent(agentSuspend)},
	}
}
