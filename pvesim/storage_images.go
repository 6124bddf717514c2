package pvesim

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"strings"
)

// File returns the bytes of a file that was uploaded to a storage, by its volume id such as
// local:iso/seed.iso. There are none of files that the model or a download brought.
func (s *Sim) File(node, volid string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(s.clock.Now())
	v := s.volumeOf(volid, node)
	if v == nil || v.Data == nil {
		return nil, false
	}
	return bytes.Clone(v.Data), true
}

// SetWebFile makes a URL serve something from now on, in place of what it served.
func (s *Sim) SetWebFile(f WebFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	web := []WebFile{f}
	for _, old := range s.model.Web {
		if old.URL != f.URL {
			web = append(web, old)
		}
	}
	s.model.Web = web
}

// qcow2Magic begins a qcow2 image. The size of the disk in it is 24 bytes behind its start.
const qcow2Magic = "QFI\xfb"

// imageIn is what is known of the image in a file that was uploaded.
func imageIn(data []byte, v Volume) Image {
	switch {
	case v.Content == "iso":
		return Image{System: systemNamed(v.file()), NoCloudInit: true}
	case v.Content != "import":
		return Image{}
	case v.Format == "qcow2" && len(data) >= 32:
		return Image{System: systemNamed(v.file()), Virtual: int64(binary.BigEndian.Uint64(data[24:32]))}
	case v.Format == "ova":
		disks := map[string]Image{}
		for _, name := range filesInTar(data) {
			if path.Ext(name) == ".vmdk" {
				disks[name] = Image{System: systemNamed(v.file())}
			}
		}
		return Image{Disks: disks}
	}
	return Image{System: systemNamed(v.file())}
}

// invalid is why PVE takes a file for none of what its name says, "" if it does not.
func (u *upload) invalid(v Volume, tmp string) string {
	ofFormat := map[string]bool{
		"qcow2": bytes.HasPrefix(u.data, []byte(qcow2Magic)),
		"vmdk":  bytes.HasPrefix(u.data, []byte("KDMV")) || bytes.HasPrefix(u.data, []byte("# Disk DescriptorFile")),
		"raw":   true,
	}
	switch good, known := ofFormat[v.Format]; {
	case v.Content != "import":
	case known && !good:
		return fmt.Sprintf("qemu-img: Could not open '%s': Image is not in %s format", tmp, v.Format)
	case v.Format == "ova" && !strings.Contains(strings.Join(filesInTar(u.data), "\n")+"\n", ".ovf\n"):
		return "ova archive has no .ovf file inside"
	}
	return ""
}

// filesInTar are the names of the files in an archive, as far as it is one.
func filesInTar(data []byte) []string {
	var names []string
	for archive := tar.NewReader(bytes.NewReader(data)); ; {
		head, err := archive.Next()
		if err != nil {
			return names
		}
		names = append(names, head.Name)
	}
}
