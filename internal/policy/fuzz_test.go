package policy_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// What passes without consent, under a policy that protects guest 103 and has commands off,
// is harmless by what PVE's own description makes of the same bytes, too.
func FuzzReadsAsPVE(f *testing.F) {
	for _, seed := range []string{
		"PUT /nodes/a/qemu/100/config delete=cores%09unused0",
		"PUT /nodes/a/qemu/100/config delete=cores&force=0&force=1",
		"PUT /nodes/a/qemu/100/config protection=0",
		"PUT /nodes/a/qemu/100/config scsi1=local-zfs%3Avm-103-disk-0",
		"PUT /nodes/a/lxc/100/config mp0=volume%3Dlocal%3A103%2Fa.raw%2Cmp%3D%2Fx",
		"POST /nodes/a/qemu/100/config template=1",
		"POST /nodes/a/qemu vmid=103&archive=x&force=1",
		"POST /nodes/a/vzdump all=1&mode=stop&remove=0",
		"POST /nodes/a/vzdump mode=stop&remove=0&vmid=100%20103",
		"DELETE /nodes/a/qemu/103 purge=1",
		"DELETE /nodes/a/qemu/100/snapshot/one ",
		"POST /nodes/a/qemu/100/snapshot/one/rollback ",
		"DELETE /nodes/a/storage/s/content/s:103%2Fvm-103-disk-0.raw ",
		"DELETE /nodes/a/tasks/UPID:a:00000001:00000001:60000000:qmrestore:100:root@pam: ",
		"GET /nodes/a/qemu/100/agent/exec%2Dstatus pid=1",
		"GET /nodes/a/qemu/100/agent/file-read/ file=x",
		"POST /nodes/a/qemu/103/status/stop ",
	} {
		parts := strings.SplitN(seed, " ", 3)
		f.Add(parts[0], parts[1], parts[2])
	}
	api, err := apischema.Load(9)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, form string) {
		target, body := "https://pve/api2/json"+path, form
		if method != http.MethodPost && method != http.MethodPut {
			target, body = target+"?"+form, ""
		}
		req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil {
			return
		}
		g := rules(t, "103", "")
		g.Policy.Exec = false
		below := &sink{}
		resp, err := g.Transport(below).RoundTrip(req)
		if err != nil {
			return // refused
		}
		resp.Body.Close()
		if harm := harmOf(api, method, req.URL.EscapedPath(), form); harm != "" {
			t.Errorf("%s %s %q passed, and %s", method, path, form, harm)
		}
	})
}

// taskType is the type of a task, as PVE::Tools::upid_decode reads it.
func taskType(upid string) string {
	fields := strings.Split(upid, ":")
	if len(fields) != 9 || fields[0] != "UPID" {
		return ""
	}
	return fields[5]
}

var (
	diskRE    = regexp.MustCompile(`^(ide|sata|scsi|virtio|efidisk|tpmstate|unused|mp)\d+$|^rootfs$`)
	ownedRE   = regexp.MustCompile(`(^|[,=])[a-z0-9-]+:(103/|(vm|base|subvol|basevol)-103-)`)
	removesRE = regexp.MustCompile(`^(unused\d+|vmstate|protection)$`)
)

// harmOf says what PVE would do that the policy does not allow, "" where it would do
// nothing of that.
func harmOf(api *apischema.API, method, escaped, form string) string {
	path, err := url.PathUnescape(strings.TrimPrefix(escaped, "/api2/json"))
	if err != nil {
		return ""
	}
	ep, fromPath, ok := api.Find(method, path)
	if !ok {
		return ""
	}
	params := apischema.ReadForm(form)
	maps.Copy(params, fromPath)
	if method == http.MethodGet {
		if strings.HasSuffix(ep.Path, "/agent/exec-status") || strings.HasSuffix(ep.Path, "/agent/file-read") {
			return "looks into a guest"
		}
		return ""
	}
	if params, err = api.Validate(ep, params); err != nil {
		return "" // PVE refuses it
	}
	text := func(key string) string {
		if params[key] == nil {
			return ""
		}
		return fmt.Sprint(params[key])
	}
	guests := apischema.SplitList(text("vmid"))
	backup := strings.HasSuffix(ep.Path, "/vzdump")
	spared := strings.HasSuffix(ep.Path, "/clone") || backup && (text("mode") == "" || text("mode") == "snapshot")
	switch {
	case slices.Contains(guests, "103") && !spared:
		return "changes the protected guest"
	case backup && (text("all") == "1" || text("pool") != ""):
		return "may change the protected guest"
	case backup && text("remove") != "0":
		return "deletes backups"
	case text("force") == "1", text("template") == "1", text("protection") == "0":
		return "loses something"
	case slices.ContainsFunc(apischema.SplitList(text("delete")), removesRE.MatchString):
		return "destroys a volume, or lays it open"
	case method == http.MethodDelete && !strings.Contains(ep.Path, "/tasks/"), strings.HasSuffix(ep.Path, "/rollback"):
		return "loses data"
	case taskType(text("upid")) == "qmrestore", strings.Contains(ep.Path, "/agent"):
		return "is not allowed"
	}
	for key, value := range params {
		if s, isText := value.(string); isText && diskRE.MatchString(key) && ownedRE.MatchString(s) {
			return "names a volume of the protected guest"
		}
	}
	return ""
}
