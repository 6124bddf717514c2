package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Fence is a transport that lets no write pass but one to a guest that this very run has
// made, in its range of ids and on its node, or one that makes such a guest. It is below the
// policy that says the same, and shares no code with it. It lets every GET pass.
type Fence struct {
	Base    http.RoundTripper
	IDs     Range
	Node    string
	Backups string // the storage for backups

	mu   sync.Mutex
	made []pve.VMID // that exist, or may; guarded by mu
	sent []string   // writes, each as METHOD and endpoint; guarded by mu
}

// FencedError says that a request was not sent.
type FencedError struct{ Method, Path, Reason string }

func (e *FencedError) Error() string {
	return fmt.Sprintf("%s %s was not sent by this live run: %s", e.Method, e.Path, e.Reason)
}

// RoundTrip sends a request if it may be sent.
func (f *Fence) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		return f.Base.RoundTrip(req)
	}
	endpoint, makes, err := f.check(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &FencedError{req.Method, req.URL.Path, err.Error()}
	}
	fresh := f.note(req.Method+" "+endpoint, makes) // before it is sent: an answer may be lost
	resp, err := f.send(req)
	if err == nil && fresh && refused(resp.StatusCode) {
		f.Forget(makes)
	}
	return resp, err
}

// send sends a write and waits for its answer, even if nobody does any more: cleaning up
// begins when PVE has either begun with it or refused it.
func (f *Fence) send(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), patience)
	defer cancel()
	resp, err := f.Base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// note remembers a write and the guest that it makes, if it makes one, and reports whether
// this is one that was not there before.
func (f *Fence) note(write string, makes pve.VMID) (fresh bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, write)
	fresh = makes != 0 && !slices.Contains(f.made, makes)
	if fresh {
		f.made = append(f.made, makes)
	}
	return fresh
}

// refused reports whether PVE itself says that nothing was done.
func refused(status int) bool { return status >= 400 && status <= 501 }

// Made returns the guests that this run has made and not forgotten, newest first.
func (f *Fence) Made() []pve.VMID {
	f.mu.Lock()
	defer f.mu.Unlock()
	made := slices.Clone(f.made)
	slices.Reverse(made)
	return made
}

// Forget says that a guest that this run has made is no more, so that it may make one of
// that id again, and touches none before.
func (f *Fence) Forget(id pve.VMID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made = slices.DeleteFunc(f.made, func(other pve.VMID) bool { return other == id })
}

// Sent returns the writes that were sent since the last call.
func (f *Fence) Sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	sent := f.sent
	f.sent = nil
	return sent
}

// writes are the endpoints that may be written to, of VMs and containers alike.
func writes() []string {
	out := []string{
		"POST /nodes/{node}/vzdump", "DELETE /nodes/{node}/storage/{storage}/content/{volume}", "DELETE /nodes/{node}/tasks/{upid}",
		"POST /nodes/{node}/qemu/{vmid}/config", "POST /nodes/{node}/qemu/{vmid}/status/reset",
	}
	for _, kind := range []string{"qemu", "lxc"} {
		guest := "/nodes/{node}/" + kind + "/{vmid}"
		out = append(out, "POST /nodes/{node}/"+kind, "DELETE "+guest, "PUT "+guest+"/config", "PUT "+guest+"/resize",
			"POST "+guest+"/clone", "POST "+guest+"/template", "POST "+guest+"/snapshot", "DELETE "+guest+"/snapshot/{snapname}",
			"POST "+guest+"/snapshot/{snapname}/rollback")
		for _, verb := range []string{"start", "stop", "shutdown", "reboot", "suspend", "resume"} {
			out = append(out, "POST "+guest+"/status/"+verb)
		}
	}
	return out
}

// check returns the endpoint of a write, and the guest that it makes, if it makes one. The
// error is why it must not be sent.
func (f *Fence) check(req *http.Request) (endpoint string, makes pve.VMID, err error) {
	params, err := parameters(req)
	if err != nil {
		return "", 0, err
	}
	_, path, _ := strings.Cut(req.URL.EscapedPath(), "/api2/json")
	endpoint, elements := match(req.Method, path)
	if endpoint == "" {
		return "", 0, errors.New("no story that can run anywhere writes to it")
	}
	if elements["node"] != f.Node {
		return "", 0, fmt.Errorf("the node of this run is %s", f.Node)
	}
	if makes, err = f.checkIDs(req.Method, endpoint, elements, params); err != nil {
		return "", 0, err
	}
	values := []string{elements["volume"]}
	for key := range params {
		values = append(values, params[key]...)
	}
	return endpoint, makes, f.checkVolumes(values, makes)
}

// checkIDs checks the guests that a request names: own ones, which have to be the run's, and
// the one that it makes.
func (f *Fence) checkIDs(method, endpoint string, elements map[string]string, params url.Values) (makes pve.VMID, err error) {
	switch {
	case endpoint == "/nodes/{node}/vzdump":
		if only(params, "remove") != "0" || only(params, "storage") != f.Backups || hasAny(params, "all", "exclude", "pool", "prune-backups", "dumpdir") {
			return 0, fmt.Errorf("a backup is of one guest, on the storage %q, and deletes no other", f.Backups)
		}
		return 0, f.checkOwn(only(params, "vmid"))
	case elements["volume"] != "":
		if len(owners(elements["volume"])) != 1 {
			return 0, errors.New("the volume does not say whose it is")
		}
		return 0, nil // its owner is looked at with all others
	case elements["upid"] != "":
		var upid proxmox.UPID
		if err := upid.UnmarshalText([]byte(elements["upid"])); err != nil {
			return 0, err
		}
		return 0, f.checkOwn(upid.ID)
	case elements["vmid"] == "" && on(params.Get("force")):
		return 0, f.checkOwn(only(params, "vmid"))
	case elements["vmid"] == "":
		return f.inRange(only(params, "vmid"))
	case method == http.MethodDelete && on(params.Get("destroy-unreferenced-disks")):
		return 0, errors.New("disks that the guest does not name may be another's")
	}
	if err := f.checkOwn(elements["vmid"]); err != nil || !strings.HasSuffix(endpoint, "/clone") {
		return 0, err
	}
	return f.inRange(only(params, "newid"))
}

// only returns the single value of a parameter, or nothing if there are several.
func only(params url.Values, key string) string {
	if len(params[key]) != 1 {
		return ""
	}
	return params[key][0]
}

// checkOwn refuses what is not the id of a guest that this run has made.
func (f *Fence) checkOwn(text string) error {
	id, err := f.inRange(text)
	if err == nil && !slices.Contains(f.Made(), id) {
		return fmt.Errorf("the guest %d was not made by it", id)
	}
	return err
}

// inRange reads an id of the range. PVE itself does not create a guest with an id that is
// taken.
func (f *Fence) inRange(text string) (pve.VMID, error) {
	n, err := strconv.Atoi(text)
	if err != nil || !f.IDs.Has(pve.VMID(n)) {
		return 0, fmt.Errorf("the guest %q is not in the scratch range %v", text, f.IDs)
	}
	return pve.VMID(n), nil
}

// checkVolumes refuses values that name a volume of a guest that is not the run's own.
func (f *Fence) checkVolumes(values []string, makes pve.VMID) error {
	for _, value := range values {
		for _, owner := range owners(value) {
			if owner == makes.String() {
				continue
			}
			if err := f.checkOwn(owner); err != nil {
				return fmt.Errorf("%.80s: %w", value, err)
			}
		}
	}
	return nil
}

// ownerRE finds the guest that a disk or a backup, in a file or on a backup server, is of.
var ownerRE = lazyregexp.New(`\b(?:vm|base|subvol|basevol|vzdump-(?:qemu|lxc|openvz))-(\d+)-|\bbackup/(?:vm|ct)/(\d+)/`)

func owners(value string) (ids []string) {
	for _, m := range ownerRE.FindAllStringSubmatch(value, -1) {
		ids = append(ids, m[1]+m[2])
	}
	return ids
}

func on(v string) bool { return v != "" && v != "0" }

func hasAny(params url.Values, keys ...string) bool {
	return slices.ContainsFunc(keys, params.Has)
}

// parameters are those of the query and of the form, whose body stays readable.
func parameters(req *http.Request) (url.Values, error) {
	params, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil || req.Body == nil || req.Body == http.NoBody {
		return params, err
	}
	if req.GetBody == nil {
		return nil, errors.New("its body cannot be read twice")
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(data))
	for key, values := range form {
		params[key] = append(params[key], values...)
	}
	return params, err
}

// match returns the endpoint of a path, and its elements that have a name.
func match(method, escaped string) (endpoint string, elements map[string]string) {
	got := strings.Split(escaped, "/")
	for _, w := range writes() {
		wanted, pattern, _ := strings.Cut(w, " ")
		parts := strings.Split(pattern, "/")
		if wanted != method || len(parts) != len(got) {
			continue
		}
		if elements = named(parts, got); elements != nil {
			return pattern, elements
		}
	}
	return "", nil
}

// named returns the elements of a path that have a name in a pattern, nil if it is not
// the pattern's.
func named(parts, got []string) map[string]string {
	elements := map[string]string{}
	for i, part := range parts {
		name, isName := strings.CutPrefix(part, "{")
		element, err := url.PathUnescape(got[i])
		switch {
		case err != nil, !isName && got[i] != part, isName && element == "":
			return nil
		case isName:
			elements[strings.TrimSuffix(name, "}")] = element
		}
	}
	return elements
}
