package pvesim

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	digest "hash"
	"path"
	"strings"
)

// WebFile is what a URL serves to nodes that download it. A URL that no WebFile of the
// model names serves a file that is made up: its size follows from the URL, and any
// checksum is right.
type WebFile struct {
	URL  string
	Size int64  // bytes
	Type string // its MIME type; "" means that of its ending
	Name string // that the server gives it; "" means none, so that it is the URL's end
	// SHA256 is its checksum; "" means one that is made up, which [WebFile.Sum] tells.
	SHA256 string
	// Unpacked is the size of what a compressed file holds; 0 means three times its own.
	Unpacked int64
	// Status is an answer other than 200, such as 404, with Reason as its text.
	Status int
	Reason string
	// Unreachable is why no server answers, such as Connection refused; "" if one does.
	Unreachable string
	// Untrusted says that the server's certificate cannot be verified.
	Untrusted bool
	// Corrupt says that the file is not what its name says, as a web page is no image.
	Corrupt bool
	// Image is what is on it, if it is a disk image.
	Image Image
}

// Image is what is on a disk image from which a guest can be made. The zero value says
// that nothing is known: a system boots from it, unless the volume is Blank.
type Image struct {
	// System is the name and version of its system, such as "ubuntu 24.04", which has booted
	// nowhere yet: it looks for cloud-init's data when it boots for the first time, and
	// its guest agent answers only if it has one then.
	System string
	// Virtual is the size of the disk in it, in bytes; 0 means that of the file.
	Virtual int64
	// Agent says that the guest agent is installed, and NoCloudInit that cloud-init is not.
	Agent, NoCloudInit bool
	// NoNetwork says of a container template that nothing in it sets up its network.
	NoNetwork bool
	// Net is how cloud-init has set up each network device: dhcp, an address with its
	// prefix, or nothing. It has done nothing yet if there are none.
	Net []string
	// Broken says that the system does not boot.
	Broken bool
	// Disks are those in an OVA, by the names of their files, and Guest what it says of
	// the guest's configuration: name, cores, memory, …
	Disks map[string]Image
	Guest map[string]string
}

// Appliance is a container template that PVE offers to download.
type Appliance struct {
	Template    string // its file: debian-12-standard_12.7-1_amd64.tar.zst
	Headline    string
	Description string
	Section     string // system, turnkeylinux or mail
	Size        int64  // bytes
}

// OCIRepository is a repository of OCI images in a registry that nodes reach. A model
// without one has nodes without skopeo, which PVE needs to reach registries.
type OCIRepository struct {
	Reference string   // such as docker.io/library/nginx
	Tags      []string // that it has
	Size      int64    // of an image, in bytes
	// Env are the variables, NAME=value, and Entrypoint the command that its images set.
	Env        []string
	Entrypoint string
}

// sums are the checksums that PVE knows, by name.
var sums = map[string]func() digest.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// Sum is the file's checksum in hex, by one of the algorithms of PVE, such as sha256.
func (f WebFile) Sum(algorithm string) string {
	if algorithm == "sha256" && f.SHA256 != "" {
		return f.SHA256
	}
	made := sums[algorithm]
	if made == nil {
		return ""
	}
	h := made()
	h.Write([]byte(f.URL))
	return hex.EncodeToString(h.Sum(nil))
}

// mimeTypes are those of files that PVE downloads, by their ending.
var mimeTypes = map[string]string{
	".iso": "application/x-iso9660-image", ".gz": "application/gzip", ".xz": "application/x-xz", ".zst": "application/zstd", ".html": "text/html",
}

func (f WebFile) mimeType() string {
	if f.Type != "" {
		return f.Type
	}
	if known := mimeTypes[path.Ext(f.fileName())]; known != "" {
		return known
	}
	return "application/octet-stream"
}

// fileName is the last part of the URL's path.
func (f WebFile) fileName() string {
	file, _, _ := strings.Cut(f.URL, "?")
	return file[strings.LastIndexByte(file, '/')+1:]
}

// webFile is what a URL serves, and whether the model says so.
func (s *state) webFile(url string) (WebFile, bool) {
	for _, f := range s.model.Web {
		if f.URL == url {
			return f, true
		}
	}
	f := WebFile{URL: url, Size: (64 + int64(hashOf(url)[0])*4) << 20}
	switch path.Ext(f.fileName()) {
	case ".qcow2", ".vmdk":
		f.Image = Image{System: systemNamed(f.fileName()), Virtual: max(3*gib, f.Size)}
	case ".raw", ".img":
		f.Image = Image{System: systemNamed(f.fileName())}
	}
	return f, false
}

// systems are the names of systems by which files of their images begin.
var systems = map[string]string{
	"debian": "debian 12", "ubuntu": "ubuntu 24.04", "noble": "ubuntu 24.04", "jammy": "ubuntu 22.04", "fedora": "fedora 42", "alpine": "alpine 3.22",
	"rocky": "rocky 9", "almalinux": "almalinux 9", "opensuse": "opensuse-leap 15.6", "arch": "arch",
}

// systemNamed guesses the system of an image by the name of its file.
func systemNamed(file string) string {
	for _, begin := range sortedKeys(systems) {
		if strings.HasPrefix(strings.ToLower(file), begin) {
			return systems[begin]
		}
	}
	return "linux"
}
