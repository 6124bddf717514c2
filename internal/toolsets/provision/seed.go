package provision

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kdomanski/iso9660"
	"go.yaml.in/yaml/v3"

	"github.com/pve-mcp/pve-mcp/internal/newguest"
)

// seed is what cloud-init reads at the first boot of a VM: the files of a NoCloud data source,
// on a CD with the label cidata. The label is found by cloud-init in every cloud image; the API
// of PVE cannot write snippets, which would be the other way.
type seed struct {
	UserData string `json:"user"`
	MetaData string `json:"meta"`
	Network  string `json:"network,omitzero"`
}

// iso writes the CD. Nothing of it stays on this machine.
func (s seed) iso() (image []byte, err error) {
	w, err := iso9660.NewWriter()
	if err != nil {
		return nil, fmt.Errorf("the CD for cloud-init needs a folder for temporary files (TMPDIR): %w", err)
	}
	defer func() { err = errors.Join(err, w.Cleanup()) }()
	for name, text := range map[string]string{"user-data": s.UserData, "meta-data": s.MetaData, "network-config": s.Network} {
		if text == "" {
			continue
		}
		if err := w.AddFile(strings.NewReader(text), name); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	err = w.WriteTo(&out, "cidata")
	return out.Bytes(), err
}

// seedOf writes the files for a VM. userData is a caller's own, whole; "" lets the guest agent
// be installed, and the user and keys be set.
func seedOf(instance string, in createIn, userData string, nics []newguest.NIC, macs, nameservers []string) (seed, error) {
	meta, err := yaml.Marshal(map[string]any{"instance-id": "i-" + instance, "local-hostname": in.Name})
	if err != nil {
		return seed{}, err
	}
	out := seed{UserData: userData, MetaData: string(meta)}
	if out.UserData == "" {
		config := map[string]any{
			"hostname": in.Name, "manage_etc_hosts": true, "package_update": true, "packages": []string{"qemu-guest-agent"},
			"runcmd": [][]string{{"systemctl", "enable", "--now", "qemu-guest-agent"}},
		}
		if in.User != "" {
			config["user"] = in.User
		}
		if len(in.SSHKeys) > 0 {
			config["ssh_authorized_keys"] = in.SSHKeys
		}
		text, err := yaml.Marshal(config)
		if err != nil {
			return seed{}, err
		}
		out.UserData = "#cloud-config\n" + string(text)
	}
	if slices.ContainsFunc(nics, func(n newguest.NIC) bool { return n.Address.IP != "" || n.Address.IP6 != "" }) || len(nics) > 1 {
		out.Network, err = networkConfig(nics, macs, nameservers)
	}
	return out, err
}

// networkConfig writes the addresses of NICs in cloud-init's version 2. A NIC is known by its
// MAC address, and named as PVE's own drive does: where netplan is not used, what has no name is
// not found. The gateway is no route: cloud-init 22.4 of Debian 12 knows neither the word
// default nor ::/0 there.
func networkConfig(nics []newguest.NIC, macs, nameservers []string) (string, error) {
	all := map[string]any{}
	for i, n := range nics {
		name := fmt.Sprintf("eth%d", i)
		one := map[string]any{"match": map[string]any{"macaddress": strings.ToLower(macs[i])}, "set-name": name}
		var addresses []string
		for _, a := range []struct{ ip, gateway, version string }{{n.Address.IP, n.Address.Gateway, "4"}, {n.Address.IP6, n.Address.Gateway6, "6"}} {
			switch {
			case strings.Contains(a.ip, "/"):
				addresses = append(addresses, a.ip)
			case a.ip == "dhcp", a.ip == "" && a.version == "4" && n.Address.IP6 == "":
				one["dhcp"+a.version] = true
			}
			if a.gateway != "" {
				one["gateway"+a.version] = a.gateway
			}
		}
		if addresses != nil {
			one["addresses"] = addresses
		}
		if len(nameservers) > 0 && addresses != nil {
			one["nameservers"] = map[string]any{"addresses": nameservers}
		}
		all[name] = one
	}
	text, err := yaml.Marshal(map[string]any{"version": 2, "ethernets": all})
	return string(text), err
}
