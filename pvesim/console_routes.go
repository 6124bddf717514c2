package pvesim

// consoleRoutes are the endpoints of consoles.
func consoleRoutes() routes {
	return routes{
		"POST /access/vncticket":                     {serve: checkTicket},
		"POST /nodes/{node}/lxc/{vmid}/termproxy":    {serve: onGuest(offerTerminal)},
		"POST /nodes/{node}/lxc/{vmid}/vncproxy":     {serve: onGuest(offerConsole)},
		"GET /nodes/{node}/lxc/{vmid}/vncwebsocket":  {serve: openConsole},
		"POST /nodes/{node}/qemu/{vmid}/termproxy":   {serve: onGuest(offerTerminal)},
		"POST /nodes/{node}/qemu/{vmid}/vncproxy":    {serve: onGuest(offerConsole)},
		"GET /nodes/{node}/qemu/{vmid}/vncwebsocket": {serve: openConsole},
		"POST /nodes/{node}/qemu/{vmid}/spiceproxy":  {serve: onGuest(offerSPICE)},
		"POST /nodes/{node}/spiceshell":              {serve: offerShell},
		"POST /nodes/{node}/termproxy":               {serve: offerShell},
		"POST /nodes/{node}/vncshell":                {serve: offerShell},
		"GET /nodes/{node}/vncwebsocket":             {serve: openConsole},
	}
}
