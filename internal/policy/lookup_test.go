package policy_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// rules makes a guard over a cluster in which guest 100 has the tag prod, and 101 is in
// the pool web; what is known of guest 666 and of the pool broken cannot be read.
func rules(t *testing.T, protect, allow string) *policy.Guard {
	t.Helper()
	p, err := policy.ParseRules(protect)
	if err != nil {
		t.Fatal(err)
	}
	a, err := policy.ParseRules(allow)
	if err != nil {
		t.Fatal(err)
	}
	return &policy.Guard{
		Policy: policy.Policy{Protect: p, Allow: a, Exec: true},
		Lookup: policy.Lookup{
			Config: configOf,
			Members: func(_ context.Context, pool string) ([]int, error) {
				if pool == "broken" {
					return nil, errors.New("no privilege")
				}
				return map[string][]int{"web": {101}}[pool], nil
			},
			Pool: func(_ context.Context, id int) (string, error) {
				return map[int]string{101: "web", 104: "web/sub"}[id], nil
			},
			Runs: func(_ context.Context, id int) (bool, error) {
				if id == 666 {
					return false, errors.New("no answer")
				}
				return id == 102, nil
			},
			Having: having,
			Guests: guestsOn,
			Content: func(_ context.Context, storage string) ([]string, error) {
				if storage == "broken" {
					return nil, errors.New("no privilege")
				}
				return map[string][]string{"nfs": {"nfs:backup/vzdump-qemu-103-2026_01_01-00_00_00.vma.zst", "nfs:iso/x.iso"}}[storage], nil
			},
			Job: func(_ context.Context, id string) (policy.Selection, error) {
				job, there := jobs[id]
				if !there {
					return job, errors.New("no such job")
				}
				return job, nil
			},
			HA: func(_ context.Context, group, rule string) ([]int, error) {
				if group == "broken" {
					return nil, errors.New("no privilege")
				}
				return map[string][]int{"/": {103}, "prefer/": {103}, "/pair": {103, 105}}[group+"/"+rule], nil
			},
			MovedTogether: func(_ context.Context, w policy.Where, _ string) ([]int, error) {
				return map[int][]int{107: {103}}[w.VMID], nil
			},
		},
	}
}

// configOf is the configuration of a guest, of its snapshots too if they are asked for.
func configOf(_ context.Context, w policy.Where) (map[string][]string, error) {
	if w.VMID == 666 {
		return nil, errors.New("no answer")
	}
	config := maps.Clone(configs[w.VMID])
	if w.Snapshot == policy.AllSnapshots && w.VMID == 111 {
		config["tags"] = []string{"lab"}
	}
	if w.Snapshot != "" && w.VMID == 106 {
		config["scsi3"] = []string{"local-zfs:vm-103-disk-3"}
	}
	return config, nil
}

// having are the guests with a value that find finds.
func having(_ context.Context, find func(key, value string) (string, bool), mayHave func(int) bool) (out []policy.Holder, err error) {
	for id, config := range configs {
		for key, values := range config {
			for _, value := range values {
				if what, found := find(key, value); found && mayHave(id) {
					out = append(out, policy.Holder{VMID: id, Key: key, What: what})
				}
			}
		}
	}
	if _, of112 := find("scsi0", "local-zfs:vm-112-disk-0"); of112 && mayHave(666) {
		out = append(out, policy.Holder{VMID: 666, Err: errors.New("no answer")})
	}
	return out, nil
}

// guestsOn are the guests of a node, of all nodes if none is named.
func guestsOn(_ context.Context, node string) ([]int, error) {
	if node == "broken" {
		return nil, errors.New("no privilege")
	}
	on := map[string][]int{"a": {100, 101, 102, 105}, "b": {103, 104}, "empty": nil}
	if node == "" {
		return slices.Sorted(slices.Values(slices.Concat(on["a"], on["b"]))), nil
	}
	return on[node], nil
}

// configs are those of the guests that have one worth telling. 105 has a disk of 103, 106
// had one when its snapshot was taken, and 108 is about to get one.
var configs = map[int]map[string][]string{
	100: {"tags": {"Prod;x"}},
	103: {"scsi0": {"local-zfs:vm-103-disk-0,size=8G"}},
	105: {"scsi0": {"local-zfs:vm-105-disk-0,size=8G"}, "scsi1": {"local-zfs:vm-103-disk-1,size=8G"}},
	106: {"scsi0": {"local-zfs:vm-106-disk-0,size=8G"}, "ide2": {"local:iso/x.iso,media=cdrom"}, "ide3": {"local:iso/a_b.iso,media=cdrom"}, "mp0": {"/mnt/data,mp=/data"}},
	108: {"scsi0": {"local-zfs:vm-108-disk-0,size=8G", "file=local-zfs:vm-103-disk-2"}},
	109: {"scsi0": {"local-zfs:base-103-disk-0/vm-109-disk-0,size=8G"}},
	110: {"scsi0": {"iscsi:0.0.0.scsi-1"}},
	113: {"scsi1": {"local-zfs:vm-114-disk-0,size=8G"}},
	111: {"scsi0": {"local-zfs:vm-111-disk-0"}},
	115: {"name": {"named"}, "hostpci0": {"mapping=gpu,pcie=1"}, "cpu": {"custom-mine,flags=+aes"}, "net0": {"virtio=BC:24:11:00:00:01,bridge=v1"}},
}

// jobs are the backup jobs.
var jobs = map[string]policy.Selection{
	"listed":   {Guests: []int{100, 103}},
	"other":    {Guests: []int{100}},
	"pooled":   {Pool: "web"},
	"all":      {All: true},
	"excludes": {All: true, Exclude: []int{103}},
	"on-a":     {All: true, Node: "a"},
	"hidden":   {Pool: "broken"},
}
