package pvesim

import (
	"fmt"
	"strings"
)

// What smartctl tells of a disk is in no recording: the fields are those that PVE's
// Diskmanage.pm makes of its text.

// getSMART tells of one of the node's disks.
func getSMART(c *call) (any, error) {
	for _, d := range c.disks(c.node) {
		if d.Path != c.str("disk") {
			continue
		}
		if d.NoSMART || c.flag("healthonly") {
			return map[string]any{"health": d.health()}, nil
		}
		out := map[string]any{"health": d.health()}
		if d.Type == "nvme" {
			out["type"], out["text"], out["wearout"] = "text", d.nvmeText(), 100-d.Wear
			return out, nil
		}
		out["type"], out["attributes"] = "ata", d.attributes()
		return out, nil
	}
	return nil, die("not a valid block device")
}

// health is smartctl's verdict.
func (d Disk) health() string {
	switch {
	case d.NoSMART:
		return "UNKNOWN"
	case d.Health == "":
		return "PASSED"
	}
	return d.Health
}

// nvmeText is what smartctl writes about an NVMe disk.
func (d Disk) nvmeText() string {
	warning := 0
	if d.health() != "PASSED" {
		warning = 4
	}
	var b strings.Builder
	b.WriteString("\nSMART/Health Information (NVMe Log 0x02)\n")
	for _, line := range []struct {
		name  string
		value any
	}{
		{"Critical Warning", fmt.Sprintf("0x%02x", warning)},
		{"Temperature", "38 Celsius"},
		{"Available Spare", fmt.Sprintf("%d%%", max(100-d.Reallocated, 0))},
		{"Available Spare Threshold", "10%"},
		{"Percentage Used", fmt.Sprintf("%d%%", d.Wear)},
		{"Power On Hours", d.hours()},
		{"Unsafe Shutdowns", 12},
		{"Media and Data Integrity Errors", d.MediaErrors},
		{"Error Information Log Entries", d.MediaErrors},
	} {
		fmt.Fprintf(&b, "%-36s%v\n", line.name+":", line.value)
	}
	return b.String()
}

// hours is how long the disk has been on.
func (d Disk) hours() int { return 8000 + int(hash(d.Serial, "hours")%20000) }

// attributes are those of an ATA disk. An attribute at its threshold has failed.
func (d Disk) attributes() []any {
	type row struct {
		id               int
		name             string
		value, threshold int
		raw              any
	}
	rows := []row{
		{5, "Reallocated_Sector_Ct", max(100-d.Reallocated, 1), 10, d.Reallocated},
		{9, "Power_On_Hours", 95, 0, d.hours()},
		{187, "Reported_Uncorrect", max(100-d.MediaErrors, 1), 0, d.MediaErrors},
		{194, "Temperature_Celsius", 66, 0, "34 (Min/Max 19/47)"},
		{197, "Current_Pending_Sector", 100, 0, d.Pending},
		{198, "Offline_Uncorrectable", 100, 0, d.Pending},
		{199, "UDMA_CRC_Error_Count", 100, 0, 0},
	}
	if d.Type == "ssd" {
		rows = append(rows, row{177, "Wear_Leveling_Count", max(100-d.Wear, 0), 5, d.Wear * 30})
	}
	var out []any
	for _, r := range rows {
		fail := "-"
		if r.threshold > 0 && r.value <= r.threshold {
			fail = "NOW"
		}
		out = append(out, map[string]any{
			"id": fmt.Sprintf("%3d", r.id), "name": r.name, "flags": "PO--CK", "value": r.value, "normalized": r.value, "worst": r.value,
			"threshold": r.threshold, "fail": fail, "raw": fmt.Sprint(r.raw),
		})
	}
	return out
}
