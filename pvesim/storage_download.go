package pvesim

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// download is a file that a node is to fetch from a URL.
type download struct {
	file    WebFile
	volume  Volume // that it will be, once its size is known
	storage *Storage
	id      string // of the task
	anySum  bool   // takes any checksum for right: the file is made up
	// The checksum that it must have, "" for none.
	algorithm, sum string
	compression    string // in which it comes
	verify         bool   // the server's certificate
}

// downloadURL downloads from the model's web.
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
	f, known := c.webFile(c.str("url"))
	d := download{
		file: f, volume: v, storage: st, anySum: !known, algorithm: c.str("checksum-algorithm"), sum: c.str("checksum"),
		compression: c.str("compression"), verify: !c.isOff("verify-certificates"),
	}
	_, d.id, _ = strings.Cut(v.ID, "/")
	return c.download(d), nil
}

// download starts the task.
func (c *call) download(d download) string {
	return c.fork(c.now, c.node, c.caller.User, "download", d.id, 0, func(now time.Time) outcome {
		j := &journal{began: now}
		if err := c.fetch(j, &d); err != nil {
			return j.fail(err)
		}
		return j.done(func(end time.Time) {
			if c.volumeOf(d.volume.ID, d.volume.Node) == nil {
				c.addVolume(d.volume, end)
			}
		})
	})
}

// fetch does and says what the task does until the file is there.
func (c *call) fetch(j *journal, d *download) error {
	file := named{id: d.volume.ID, storage: d.storage}.path()
	if d.compression != "" && d.volume.Content != "iso" {
		return die("decompression not supported for %s", d.volume.Content)
	}
	j.say("downloading %s to %s", d.file.URL, file)
	if old := c.volumeOf(d.volume.ID, d.volume.Node); old != nil {
		return d.isThere(j, old, file)
	}
	tmp := fmt.Sprintf("%s.tmp_dwnl.%d", file, c.lastPID)
	if err := c.wget(j, d, tmp); err != nil {
		return err
	}
	if d.sum != "" {
		if got := d.file.Sum(d.algorithm); !d.anySum && !strings.EqualFold(got, d.sum) {
			j.say("calculating checksum...")
			return die("checksum mismatch: got '%s' != expect '%s'", got, d.sum)
		}
		j.say("calculating checksum...OK, checksum verified")
	}
	d.volume.Size, d.volume.Source, d.volume.Image = d.file.Size, d.file.URL, d.file.Image
	if d.compression != "" {
		j.say("decompressing %s to %s", tmp, strings.Replace(tmp, ".tmp_dwnl.", ".tmp_dcom.", 1))
		j.pass(time.Duration(d.file.Size/copySpeed) * time.Second)
		d.volume.Size = d.file.Unpacked
		if d.volume.Size == 0 {
			d.volume.Size = 3 * d.file.Size
		}
	}
	d.volume.Used = d.volume.Size
	if d.file.Corrupt && d.volume.Content == "import" && c.node.version.atLeast(8, 4) {
		return die("failed to verify file: qemu-img: Could not open '%s': Image is not in %s format", tmp, d.volume.Format)
	}
	j.say("download of '%s' to '%s' finished", d.file.URL, file)
	return nil
}

// isThere is what becomes of a download to a file that exists.
func (d *download) isThere(j *journal, old *volume, file string) error {
	if d.sum == "" {
		return die("refusing to override existing file '%s'", file)
	}
	got := d.file.Sum(d.algorithm)
	if d.anySum {
		got = d.sum
	}
	switch {
	case old.Data != nil:
		got = (&upload{data: old.Data}).sum(d.algorithm)
	case old.Source != d.file.URL:
		got = WebFile{URL: old.ID}.Sum(d.algorithm)
	}
	if !strings.EqualFold(got, d.sum) {
		j.say("calculating checksum of existing file...")
		return die("checksum mismatch: got '%s' != expect '%s', aborting", got, d.sum)
	}
	j.say("calculating checksum of existing file...OK, got correct file already, no need to download")
	return nil
}

// How fast a node downloads, and how much of the file a line of wget's is about.
const downloadSpeed, downloadLine = 100 << 20, 32 << 20

// wget says what wget says, and fails as it does.
func (c *call) wget(j *journal, d *download, tmp string) error {
	f, stamp := d.file, func() string { return j.now().UTC().Format(time.DateTime) }
	j.say("--%s--  %s", stamp(), f.URL)
	host, port := "", "80"
	if u, err := url.Parse(f.URL); err == nil {
		host, port = u.Hostname(), u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
	}
	if f.Unreachable != "" {
		j.pass(20 * time.Second)
		j.say("Connecting to %s:%s... failed: %s.", host, port, f.Unreachable)
		return die("download failed: exit code 4")
	}
	j.say("Connecting to %s:%s... connected.", host, port)
	if f.Untrusted && d.verify {
		j.say("ERROR: cannot verify %s's certificate:", host)
		j.say("To connect to %s insecurely, use `--no-check-certificate'.", host)
		return die("download failed: exit code 5")
	}
	if f.Status != 0 && f.Status != 200 {
		j.say("HTTP request sent, awaiting response... %d %s", f.Status, f.reason())
		j.say("%s ERROR %d: %s.", stamp(), f.Status, f.reason())
		return die("download failed: exit code 8")
	}
	j.say("HTTP request sent, awaiting response... 200 OK")
	j.say("Length: %d (%s) [%s]", f.Size, wgetSize(f.Size), f.mimeType())
	j.say("Saving to: '%s'", tmp)
	j.say("")
	free := c.bytesFree(d.storage, d.volume.Node)
	for got := int64(downloadLine); got <= min(f.Size, free); got += downloadLine {
		j.pass(time.Second * downloadLine / downloadSpeed)
		j.say("%6dK ........ ........ ........ ........ %2d%%  100M %ds", (got-downloadLine)>>10, got*100/f.Size, (f.Size-got)/downloadSpeed)
	}
	if f.Size > free {
		j.say("%s: No space left on device", tmp)
		j.say("Cannot write to '%s' (Success).", tmp)
		return die("download failed: exit code 3")
	}
	j.pass(quickTakes)
	j.say("%6dK %-34s 100%%  100M=%ds", f.Size/downloadLine*downloadLine>>10, "", f.Size/downloadSpeed)
	j.say("")
	j.say("%s (100 MB/s) - '%s' saved [%d/%d]", stamp(), tmp, f.Size, f.Size)
	return nil
}

// wgetSize writes a size as wget does.
func wgetSize(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	size, unit := float64(n), -1
	for size >= 1024 && unit < 3 {
		size, unit = size/1024, unit+1
	}
	digits := 0
	if size < 10 {
		digits = 1
	}
	return strconv.FormatFloat(size, 'f', digits, 64) + "KMGT"[unit:unit+1]
}

// pullOCI pulls an image from a registry to a file that containers are made of.
func pullOCI(c *call) (any, error) {
	const purpose = "pull OCI images from registries"
	reference := c.str("reference")
	i := strings.LastIndexByte(reference, ':')
	repo, tag := reference[:i], reference[i+1:]
	if len(c.model.Registry) == 0 {
		_, err := c.skopeo(repo, purpose, "copy")
		return nil, err
	}
	st, err := c.usable(c.str("storage"), c.node.Name)
	switch {
	case err != nil:
		return nil, err
	case !st.traits().files:
		return nil, die("can't upload to storage type '%s', not a file based storage!", st.Type)
	case !st.holds("vztmpl"):
		return nil, die("storage '%s' is not configured for content-type 'vztmpl'", st.ID)
	}
	name := c.str("filename")
	if name == "" {
		name = reference
	}
	name = normalFileName(name) + ".tar"
	v := Volume{ID: st.ID + ":vztmpl/" + name, Node: c.node.Name, Content: "vztmpl", Format: "tar"}
	if c.volumeOf(v.ID, v.Node) != nil {
		return nil, die("refusing to override existing file '%s'", name)
	}
	return c.fork(c.now, c.node, c.caller.User, "ociregistrypull", name, 0, func(now time.Time) outcome {
		j := &journal{began: now}
		r, err := c.skopeo(repo, purpose, "copy")
		file := fmt.Sprintf("%s/%s.tmp.%d", path.Dir(named{id: v.ID, storage: st}.path()), name, c.lastPID)
		if err != nil || !slices.Contains(r.Tags, tag) {
			j.pass(time.Second)
			j.say(`time="%s" level=fatal msg="initializing source docker://%s: reading manifest %s: manifest unknown"`, j.now().UTC().Format(time.RFC3339), reference, tag)
			return j.fail(die("command 'skopeo copy docker://%s oci-archive:%s' failed: exit code 1", reference, file))
		}
		for _, line := range []string{"Getting image source signatures", "Copying blob sha256:" + WebFile{URL: reference}.Sum("sha256")} {
			j.say("%s", line)
		}
		j.pass(time.Duration(r.Size/downloadSpeed)*time.Second + time.Second)
		j.say("Copying config sha256:%s", WebFile{URL: name}.Sum("sha256"))
		j.say("Writing manifest to image destination")
		v.Size, v.Used, v.OCI = r.Size, r.Size, &r
		return j.done(func(end time.Time) { c.addVolume(v, end) })
	}), nil
}
