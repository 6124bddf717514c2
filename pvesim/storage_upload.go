package pvesim

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	digest "hash"
	"io"
	"mime"
	"mime/multipart"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// upload is a file that came with a request.
type upload struct {
	size int64
	data []byte
}

// isUpload reports whether the request is to a path that takes files.
func (r Request) isUpload() bool {
	return r.Method == "POST" && strings.HasSuffix(r.Path, "/upload") &&
		strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data")
}

// multipartForm reads the fields before the file, and the file. What comes after it,
// PVE does not see.
func (c *call) multipartForm() (apischema.Values, error) {
	params := apischema.Values{}
	if len(c.req.Body) > maxUpload {
		return nil, serverRefusal(501, "for data too large")
	}
	_, options, err := mime.ParseMediaType(c.req.Header.Get("Content-Type"))
	if err != nil {
		return nil, serverRefusal(400, "Bad Request")
	}
	form := multipart.NewReader(bytes.NewReader(c.req.Body), options["boundary"])
	for {
		part, err := form.NextRawPart()
		if err != nil {
			return params, nil
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, serverRefusal(400, "Bad Request")
		}
		if name := part.FormName(); name != "filename" {
			params[name] = string(data)
			continue
		}
		c.file = &upload{int64(len(data)), data}
		params["filename"] = part.FileName()
		params["tmpfilename"] = fmt.Sprintf("/var/tmp/pveupload-%032x", hashOf(params["filename"], len(data)))
		return params, nil
	}
}

func hashOf(parts ...any) []byte {
	sum := md5.Sum(fmt.Append(nil, parts...))
	return sum[:]
}

// Names of files, by what they hold.
var fileExtensions = map[string]*lazyregexp.Regexp{
	"iso":    lazyregexp.New(`^[^/]+\.(?i:iso|img)$`),
	"vztmpl": lazyregexp.New(`^[^/]+\.tar\.(?i:gz|xz|zst|bz2)$`),
	"import": lazyregexp.New(`^[a-zA-Z0-9\-.+=_]+\.(?:ova|qcow2|raw|vmdk)$`),
}

var notInNames = lazyregexp.New(`[^a-zA-Z0-9_.\-]`)

// newFile is the volume that a file will be, by the parameters of the call.
func (c *call) newFile(refuse func(st *Storage, content string) error) (Volume, *Storage, error) {
	st, err := c.usable(c.str("storage"), c.str("node"))
	if err != nil {
		return Volume{}, nil, err
	}
	content := c.str("content")
	if err := refuse(st, content); err != nil {
		return Volume{}, nil, err
	}
	name := c.str("filename")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = notInNames.ReplaceAllString(name, "_")
	if !fileExtensions[content].MatchString(name) {
		why := map[string]string{"import": "invalid filename or wrong extension"}[content]
		if why == "" {
			why = "wrong file extension"
		}
		return Volume{}, nil, badParam("filename", "%s", why)
	}
	format := map[string]string{"iso": "iso", "vztmpl": "t" + strings.TrimPrefix(path.Ext(name), ".")}[content]
	if format == "" {
		format = strings.TrimPrefix(path.Ext(name), ".")
	}
	return Volume{ID: st.ID + ":" + content + "/" + name, Node: c.str("node"), Content: content, Format: format}, st, nil
}

// uploadFile copies a file that came with the request to a storage, over one of the
// same name.
func uploadFile(c *call) (any, error) {
	v, st, err := c.newFile(func(st *Storage, _ string) error {
		switch {
		case !st.traits().files:
			return die("can't upload to storage type '%s'", st.Type)
		case c.file == nil:
			return die("missing temporary file name")
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !st.holds(v.Content):
		return nil, die("storage '%s' does not support '%s' content", st.ID, v.Content)
	}
	v.Size, v.Used = c.file.size, c.file.size
	file, tmp := named{id: v.ID, storage: st}.path(), c.str("tmpfilename")
	return c.fork(c.now, c.receiver, c.caller.User, "imgcopy", "", 0, func(now time.Time) outcome {
		j := &journal{began: now}
		j.say("starting file import from: %s", tmp)
		if got := c.file.sum(c.str("checksum-algorithm")); got != "" {
			if !strings.EqualFold(got, c.str("checksum")) {
				j.say("calculating checksum...")
				return j.fail(die("checksum mismatch: got '%s' != expect '%s'", got, c.str("checksum")))
			}
			j.say("calculating checksum...OK, checksum verified")
		}
		for _, line := range []string{
			"target node: " + c.str("node"), "target file: " + file, fmt.Sprintf("file size is: %d", v.Size), "command: cp -- " + tmp + " " + file,
		} {
			j.say("%s", line)
		}
		j.pass(quickTakes + time.Duration(v.Size/copySpeed)*time.Second)
		j.say("finished file import successfully")
		return j.done(func(end time.Time) {
			c.freeVolume(v.ID, v.Node)
			c.addVolume(v, end)
		})
	}), nil
}

// sum is the file's checksum in hex, "" if none is asked for.
func (u *upload) sum(algorithm string) string {
	made := map[string]func() digest.Hash{
		"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
	}[algorithm]
	if made == nil {
		return ""
	}
	h := made()
	h.Write(u.data)
	return hex.EncodeToString(h.Sum(nil))
}

// downloadURL downloads nothing, since there is no network: it makes a file up whose
// size follows from the URL, and takes any checksum for right.
func downloadURL(c *call) (any, error) {
	v, st, err := c.newFile(func(st *Storage, content string) error {
		switch {
		case !st.traits().files:
			return die("can't upload to storage type '%s', not a file based storage!", st.Type)
		case !st.holds(content):
			return die("storage '%s' is not configured for content-type '%s'", st.ID, content)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	h := hashOf(c.str("url"))
	v.Size = (64 + int64(h[0])*4) << 20
	v.Used = v.Size
	file := named{id: v.ID, storage: st}.path()
	_, name, _ := strings.Cut(v.ID, "/")
	return c.fork(c.now, c.node, c.caller.User, "download", name, 0, func(now time.Time) outcome {
		j := &journal{began: now}
		j.say("downloading %s to %s", c.str("url"), file)
		if c.volumeOf(v.ID, c.node.Name) != nil {
			return j.fail(die("refusing to override existing file '%s'", file))
		}
		const perSecond, perLine = 100 << 20, 32 << 20
		for got := int64(perLine); got <= v.Size; got += perLine {
			j.pass(time.Second * perLine / perSecond)
			j.say("%6dK ........ ........ ........ ........ %2d%%  100M %ds", (got-perLine)>>10, got*100/v.Size, (v.Size-got)/perSecond)
		}
		if c.str("checksum") != "" {
			j.say("calculating checksum...OK, checksum verified")
		}
		j.say("download of '%s' to '%s' finished", c.str("url"), file)
		return j.done(func(end time.Time) { c.addVolume(v, end) })
	}), nil
}

// imageFile is the name of a disk that is a file.
var imageFile = lazyregexp.New(`^(?:vm-|base-|subvol-)(\d+)-[^/\s]+\.(raw|qcow2|vmdk|subvol)$`)

// allocateVolume makes an empty disk, which belongs to a guest that need not exist.
func allocateVolume(c *call) (any, error) {
	name, format := c.str("filename"), c.str("format")
	if ext := strings.TrimPrefix(path.Ext(name), "."); ext == "raw" || ext == "qcow2" || ext == "vmdk" {
		if format != "" && format != ext {
			return nil, badParam("format", "different storage formats (%s != %s)", format, ext)
		}
		format = ext
	}
	st, err := c.online(c.str("storage"), c.node.Name)
	if err != nil {
		return nil, err
	}
	vmid := c.number("vmid", 0)
	if format == "" {
		format = st.traits().format
	}
	m := imageFile.FindStringSubmatch(name)
	switch {
	case st.traits().files && m == nil:
		return nil, die("unable to parse volume filename '%s'", name)
	case st.traits().files && m[2] != format:
		return nil, die("illegal name '%s' - wrong extension for format ('%s != '%s')", name, m[2], format)
	case !st.traits().files && !strings.HasPrefix(name, fmt.Sprintf("vm-%d-", vmid)):
		return nil, die("illegal name '%s' - should be 'vm-%d-*'", name, vmid)
	}
	digits, shift := strings.TrimRight(c.str("size"), "MG"), uint(10)
	if unit := c.str("size")[len(digits):]; unit != "" {
		shift = sizeUnits[unit[0]]
	}
	kib, _ := strconv.ParseInt(digits, 10, 64)
	id := st.ID + ":" + name
	if st.traits().files {
		id = fmt.Sprintf("%s:%d/%s", st.ID, vmid, name)
	}
	if c.volumeOf(id, c.node.Name) != nil {
		return nil, die("disk image '%s' already exists", named{id: id, storage: st}.path())
	}
	v := Volume{ID: id, Node: c.node.Name, Content: "images", Format: format, Size: kib << shift, VMID: vmid, Blank: true}
	v.Used = v.firstUse(st.traits())
	c.addVolume(v, c.now)
	return id, nil
}
