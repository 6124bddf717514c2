package pvesim

// consoleRoutes are the endpoints of consoles.
func consoleRoutes() routes {
	return routes{
		"POST /nodes/{node}/lxc/{vmid}/termproxy":    {serve: onGuest(offerTerminal)},
		"POST /nodes/{node}/lxc/{vmid}/vncproxy":     {serve: onGuest(offerConsole)},
		"GET /nodes/{node}/lxc/{vmid}/vncwebsocket":  {serve: openConsole},
		"POST /nodes/{node}/qemu/{vmid}/termproxy":   {serve: onGuest(offerTerminal)},
		"POST /nodes/{node}/qemu/{vmid}/vncproxy":    {serve: onGuest(offerConsole)},
		"GET /nodes/{node}/qemu/{vmid}/vncwebsocket": {serve: openConsole},
		"POST /nodes/{node}/termproxy":               {serve: func(c *call) (any, error) { return c.terminal(0, "vncshell", "") }},
		"GET /nodes/{node}/vncwebsocket":             {serve: openConsole},
	}
}
