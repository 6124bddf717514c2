package pvesim

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/cloudinit"
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

// uploadFields are those before the file, in the only order in which PVE finds them.
var uploadFields = []string{"content", "checksum-algorithm", "checksum"}

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
	seen := -1
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
			at := slices.Index(uploadFields, name)
			if at <= seen {
				return nil, &refusal{status: 400, message: "Bad Request", plain: true}
			}
			params[name], seen = string(data), at
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

// normalFileName is the name that PVE gives a file of a name.
func normalFileName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	return notInNames.ReplaceAllString(name, "_")
}

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
	name := normalFileName(c.str("filename"))
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
	v.Size, v.Used, v.Data, v.Image = c.file.size, c.file.size, c.file.data, imageIn(c.file.data, v)
	_, v.Blank = cloudinit.FromISO(v.Data) // nothing boots from data
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
		if why := c.file.invalid(v, tmp); why != "" && c.node.version.atLeast(8, 4) {
			return j.fail(die("%s", why))
		}
		for _, line := range []string{
			"target node: " + c.str("node"), "target file: " + file, fmt.Sprintf("file size is: %d", v.Size), "command: cp -- " + tmp + " " + file,
		} {
			j.say("%s", line)
		}
		j.pass(quickTakes + time.Duration(v.Size/copySpeed)*time.Second)
		if free := c.bytesFree(st, v.Node); v.Size > free {
			j.say("cp: error writing '%s': No space left on device", file)
			return j.fail(die("import failed: exit code 1"))
		}
		j.say("finished file import successfully")
		return j.done(func(end time.Time) {
			c.freeVolume(v.ID, v.Node)
			c.addVolume(v, end)
		})
	}), nil
}

// sum is the file's checksum in hex, "" if none is asked for.
func (u *upload) sum(algorithm string) string {
	made := sums[algorithm]
	if made == nil {
		return ""
	}
	h := made()
	h.Write(u.data)
	return hex.EncodeToString(h.Sum(nil))
}
