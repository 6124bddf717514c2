package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/doctor"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// reach asks the hosts for their certificates. Where one is not trusted, a person is shown
// its fingerprint, and pins it or not; the pins are then the setting. Its answer is what
// keeps the server from working, "" for nothing.
func (a *app) reach(ctx context.Context, cfg *config.Config) (problem string, err error) {
	hosts := doctor.Hosts(ctx, a.checks(cfg), false)
	pins, distrusted := []string{}, false
	for _, h := range hosts {
		if h.Certificate != nil {
			pins = append(pins, proxmox.FingerprintOf(h.Certificate).String())
		}
		if c := h.Problem(); c.Status != "" && !h.Distrusted {
			return h.Base + ": " + strings.TrimSpace(c.Text+" "+c.Remedy), nil
		}
		distrusted = distrusted || h.Distrusted
	}
	switch {
	case !distrusted:
		return "", nil
	case len(pins) != len(hosts):
		return "not every host has a certificate to pin", nil
	case !isTerminal(a.in) || !isTerminal(a.err):
		return "the certificate is not trusted; if it is the right one, pin it: run install again with --fingerprint " + strings.Join(pins, ","), nil
	}
	for i, h := range hosts {
		if !h.Distrusted {
			continue
		}
		fmt.Fprintf(a.err, "The certificate of %s is not trusted, as a node's own is at first. It is for %s, valid until %s, and its SHA-256 fingerprint is\n  %s\n"+
			"Compare it with what the node shows under System, Certificates, or with pvenode cert info.\n",
			h.Base, render.Text(h.Certificate.Subject.CommonName, 80), h.Certificate.NotAfter.UTC().Format(time.DateOnly), pins[i])
	}
	fmt.Fprint(a.err, "Pin it, so that nothing else is trusted? [y/N] ")
	line, _ := bufio.NewReader(a.in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return "", &exitError{exitRefused, "the certificate was not pinned; nothing was changed"}
	}
	a.flags["PVE_FINGERPRINT"] = strings.Join(pins, ",")
	return "", nil
}

// login sees whether PVE accepts the token of a server as a client starts it, whose secret
// is kept by now.
func (a *app) login(ctx context.Context, env map[string]string) (problem string) {
	var environ []string
	for key, value := range env {
		environ = append(environ, key+"="+value)
	}
	cfg, err := config.Load(config.Sources{Environ: environ, Keyring: findInKeyring})
	if err != nil {
		return err.Error()
	}
	for _, h := range doctor.Hosts(ctx, a.checks(cfg), true) {
		if c := h.Problem(); c.Status != "" {
			return h.Base + ": " + strings.TrimSpace(c.Text+" "+c.Remedy)
		}
	}
	return ""
}

func (a *app) checks(cfg *config.Config) doctor.Options {
	return doctor.Options{
		Config: cfg, UserAgent: "pve-mcp/" + version(), Now: time.Now, Show: func(doctor.Check) {},
		Slow: func(what string) { fmt.Fprintf(a.err, "… still checking %s; ctrl-c ends it\n", what) },
	}
}
