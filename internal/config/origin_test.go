package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/config"
)

// Where each setting comes from is known, also where something is wrong; a secret is
// never shown.
func TestOrigins(t *testing.T) {
	for _, tt := range []struct {
		name  string
		src   config.Sources
		files map[string]string
		want  string // without defaults
	}{
		{"environment and flags", config.Sources{Environ: minimal("PVE_MCP_TASK_WAIT=5"), Flags: map[string]string{"PVE_MCP_TASK_WAIT": "7", "PVE_TIMEOUT": ""}}, nil,
			"PVE_HOST environment pve.lan|PVE_TOKEN_ID environment ops@pve!mcp|PVE_TOKEN_SECRET environment |PVE_MCP_TASK_WAIT flag 7"},
		{".env", config.Sources{}, map[string]string{".env": "PVE_HOST=pve.lan\nPVE_TOKEN_ID=ops@pve!mcp\nPVE_TOKEN_SECRET_FILE=secret\n"},
			"PVE_HOST .env pve.lan|PVE_TOKEN_ID .env ops@pve!mcp|PVE_TOKEN_SECRET file secret|PVE_TOKEN_SECRET_FILE .env secret"},
		{".env that makes it safer, and may no more", config.Sources{Environ: minimal("PVE_MCP_READ_ONLY=false")},
			map[string]string{".env": "PVE_HOST=evil.lan\nPVE_MCP_READ_ONLY=true\n"},
			"PVE_HOST environment pve.lan|PVE_TOKEN_ID environment ops@pve!mcp|PVE_TOKEN_SECRET environment |PVE_MCP_READ_ONLY .env true"},
		{"a secret in the wrong place", config.Sources{Environ: []string{"PVE_HOST=" + other}}, nil, "PVE_HOST environment "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.src.Dir = folder(t, tt.files)
			var got []string
			for _, g := range config.Origins(tt.src) {
				if g.From != config.FromDefault {
					got = append(got, fmt.Sprint(g.Key, " ", g.From, " ", g.Value))
				}
			}
			if diff := cmp.Diff(strings.Split(tt.want, "|"), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
