// Package cloudinit reads what cloud-init reads when a guest boots for the first time: the
// files of a NoCloud image, and what they ask for.
package cloudinit

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

const sector = 2048

// Seed is what a NoCloud image holds.
type Seed struct{ UserData, MetaData, NetworkConfig string }

// FromISO reads the seed in an ISO 9660 image. There is none if the image has another label
// than cidata, or lacks user-data or meta-data under these names: as Linux shows them, which
// are those of Rock Ridge, else of Joliet, else those of ISO 9660 in lower case.
func FromISO(data []byte) (Seed, bool) {
	label, files := readISO(data)
	_, user := files["user-data"]
	_, meta := files["meta-data"]
	if !strings.EqualFold(label, "cidata") || !user || !meta {
		return Seed{}, false
	}
	return Seed{UserData: files["user-data"], MetaData: files["meta-data"], NetworkConfig: files["network-config"]}, true
}

// readISO reads the label and the files in the root folder of an image.
func readISO(data []byte) (label string, files map[string]string) {
	var primary, joliet []byte
	for at := 16 * sector; at+sector <= len(data); at += sector {
		d := data[at : at+sector]
		if string(d[1:6]) != "CD001" || d[0] == 255 {
			break
		}
		if d[0] == 1 {
			primary = d
		}
		if d[0] == 2 && d[88] == '%' && d[89] == '/' {
			joliet = d
		}
	}
	if primary == nil {
		return "", nil
	}
	label = strings.TrimRight(string(primary[40:72]), " \x00")
	files, rockRidge := folder(data, primary, func(id []byte) string {
		name, _, _ := strings.Cut(strings.ToLower(string(id)), ";")
		return strings.TrimSuffix(name, ".")
	})
	if joliet != nil && !rockRidge {
		files, _ = folder(data, joliet, func(id []byte) string {
			var units []uint16
			for i := 0; i+1 < len(id); i += 2 {
				units = append(units, binary.BigEndian.Uint16(id[i:]))
			}
			name, _, _ := strings.Cut(string(utf16.Decode(units)), ";")
			return name
		})
	}
	return label, files
}

// folder reads the files of the root folder that a volume descriptor names.
func folder(data, descriptor []byte, nameOf func([]byte) string) (files map[string]string, rockRidge bool) {
	files = map[string]string{}
	content := extent(data, descriptor[156:190])
	for at := 0; at < len(content); {
		size := int(content[at])
		if size == 0 { // the rest of the sector is empty
			at = (at/sector + 1) * sector
			continue
		}
		if size < 34 || at+size > len(content) {
			break
		}
		record := content[at : at+size]
		at += size
		end := 33 + int(record[32])
		if record[25]&2 != 0 || end > len(record) {
			continue
		}
		name := nameOf(record[33:end])
		if real := rockRidgeName(record[end+1-int(record[32])%2:]); real != "" {
			name, rockRidge = real, true
		}
		files[name] = string(extent(data, record))
	}
	return files, rockRidge
}

// extent is what a directory record points to.
func extent(data, record []byte) []byte {
	begin := int(binary.LittleEndian.Uint32(record[2:])) * sector
	end := begin + int(binary.LittleEndian.Uint32(record[10:]))
	if begin < 0 || end > len(data) || begin > end {
		return nil
	}
	return data[begin:end]
}

// rockRidgeName is the name in the system use entries of a record; "" if there is none.
func rockRidgeName(entries []byte) string {
	name := ""
	for len(entries) >= 5 && int(entries[2]) >= 4 && int(entries[2]) <= len(entries) {
		if string(entries[:2]) == "NM" {
			name += string(entries[5:entries[2]])
		}
		entries = entries[entries[2]:]
	}
	return name
}
