// Package apischema knows what the Proxmox VE API accepts and returns: every
// endpoint of a major version with its parameters, their types and bounds, and
// the privileges it asks for.
//
// It answers as PVE itself does. [API.Validate] checks parameters in PVE's order
// and refuses in PVE's words; [Permissions.Allow] decides who may call and names
// the missing privilege in PVE's form:
//
//	api, err := apischema.Load(9)
//	...
//	ep, params, ok := api.Find("PUT", "/nodes/pve1/qemu/100/config")
//	...
//	params["cores"] = "two"
//	api.Validate(ep, params) // cores: type check ('integer') failed - got 'two'
//
// The facts are generated from PVE's own API description (see the gen folder)
// and embedded, compressed; they are parsed when they are first asked for.
// Formats that are code in PVE rather than data are a table in this package;
// one that is missing there is accepted and counted ([API.Unchecked]).
package apischema
