package find

import (
	"strings"

	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// unsaid are the defaults that PVE's description of itself does not tell.
var unsaid = map[pve.Kind]map[string]string{
	pve.QEMU: {"agent": "0", "cpu": "kvm64", "machine": "pc", "memory": "512", "ostype": "other", "vga": "std"},
}

// defaultOf is the value that a key of a configuration has if it is not set, "" if it has
// none.
func defaultOf(kind pve.Kind, key string) string {
	if value, ok := unsaid[kind][key]; ok {
		return value
	}
	api, err := apischema.Load(9)
	if err != nil {
		return ""
	}
	p := api.Endpoint("PUT", "/nodes/{node}/"+string(kind)+"/{vmid}/config").Params[key]
	if p == nil {
		return ""
	}
	return strings.Trim(string(p.Default), `"`)
}
