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
		"POST /nodes/b/stopall ",
		"POST /nodes/b/stopall vms=100%2C103",
		"POST /nodes/b/migrateall target=a&vms=104",
		"POST /cluster/bulk-action/guest/start ",
		"POST /cluster/bulk-action/guest/start vms=100&vms=103",
		"PUT /cluster/ha/resources/vm:103 state=stopped",
		"POST /cluster/ha/resources sid=103",
		"POST /cluster/ha/rules affinity=positive&resources=vm%3A100+ct%3A103&rule=x&type=resource-affinity",
		"POST /cluster/replication id=103-0&target=b&type=local",
		"POST /nodes/a/replication/103-0/schedule_now ",
		"PUT /cluster/backup/listed enabled=0",
		"PUT /cluster/backup/other vmid=103",
		"PUT /cluster/backup/other all=1",
		"POST /cluster/backup all=1&remove=0&mode=stop",
		"POST /cluster/backup vmid=103&remove=0",
		"PUT /pools/web vms=103",
		"PUT /pools storage=local-zfs&poolid=web",
		"PUT /storage/local-zfs disable=1",
		"PUT /nodes/a/storage/s/content/s:103%2Fvm-103-disk-0.raw notes=x",
		"POST /nodes/a/storage/s/content filename=vm-103-disk-1.raw&size=1G&vmid=103",
		"POST /cluster/firewall/rules action=DROP&type=in",
		"POST /nodes/a/qemu/100/move_disk disk=scsi0&target-vmid=103",
		"POST /nodes/b/vzdump remove=0&stop=1",
		"PUT /nodes/a/lxc/104/config env=TZ%3DUTC%00A%3Db",
		"PUT /nodes/a/lxc/104/config env=A%3Db%0Alxc.init.cmd%3A+%2Fx",
		"PUT /nodes/a/lxc/104/config delete=env%00unused0&env=A%3Db",
		"PUT /nodes/a/qemu/100/config env=TZ%3DUTC%00A%3Db",
		"POST /nodes/a/lxc env=TZ%3DUTC%00A%3Db&vmid=999",
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
		if what := cutAtNUL(req, form); what != "" {
			t.Errorf("%s %s %q passed, and PVE cuts %s", method, path, form, what)
		}
		if harm := harmOf(api, method, req.URL.EscapedPath(), form); harm != "" {
			t.Errorf("%s %s %q passed, and %s", method, path, form, harm)
		}
	})
}

// cutAtNUL returns a parameter that PVE would cut into parts that this server has not looked
// at, or whose parts are no variables.
func cutAtNUL(req *http.Request, form string) string {
	if req.Method == http.MethodGet {
		return "" // no list of a read says what is changed
	}
	for key, value := range apischema.ReadForm(form) {
		text, isText := value.(string)
		environment := key == "env" && strings.Contains(req.URL.EscapedPath(), "/lxc")
		parts := strings.Split(text, "\x00")
		switch {
		case !isText, len(parts) == 1 && !environment:
		case !environment, slices.ContainsFunc(parts, func(p string) bool { return !variableRE.MatchString(p) }):
			return key
		}
	}
	return ""
}

// variableRE matches a variable as one line of a container's file.
var variableRE = regexp.MustCompile(`^\w+=[^\n\r]*$`)

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

// harmOf says what PVE would do that the policy does not allow, "" if it would do
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
	backup, newJob := strings.HasSuffix(ep.Path, "/vzdump"), method == http.MethodPost && ep.Path == "/cluster/backup"
	spared := strings.HasSuffix(ep.Path, "/clone") ||
		(backup || newJob) && (text("mode") == "" || text("mode") == "snapshot") && text("remove") == "0" && text("prune-backups") == "" && text("stop") != "1"
	switch {
	case slices.Contains(guestsIn(ep, text), "103") && !spared:
		return "changes the protected guest"
	case touchesByOtherNames(ep, text):
		return "touches the protected guest without naming it"
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

// guestsIn are the guests that the parameters of a request name, those of its path too.
func guestsIn(ep *apischema.Endpoint, text func(string) string) (ids []string) {
	for _, key := range []string{"vmid", "vms", "target-vmid", "newid"} {
		ids = append(ids, apischema.SplitList(strings.Trim(text(key), "[]"))...)
	}
	for _, sid := range slices.Concat(apischema.SplitList(text("sid")), apischema.SplitList(text("resources"))) {
		ids = append(ids, sid[strings.IndexByte(sid, ':')+1:])
	}
	if strings.Contains(ep.Path, "/replication") {
		id, _, _ := strings.Cut(text("id"), "-")
		ids = append(ids, id)
	}
	if ownedRE.MatchString(text("volume")) {
		ids = append(ids, "103")
	}
	return ids
}

// touchesByOtherNames reports whether a request changes guest 103 in the cluster of [rules],
// or what it depends on, without naming it.
func touchesByOtherNames(ep *apischema.Endpoint, text func(string) string) bool {
	excluded := slices.Contains(apischema.SplitList(text("exclude")), "103")
	snapshot := (text("mode") == "" || text("mode") == "snapshot") && text("remove") == "0" && text("prune-backups") == ""
	switch ep.Path {
	case "/nodes/{node}/startall", "/nodes/{node}/stopall", "/nodes/{node}/suspendall", "/nodes/{node}/migrateall":
		return text("node") == "b" && text("vms") == ""
	case "/cluster/bulk-action/guest/start", "/cluster/bulk-action/guest/shutdown", "/cluster/bulk-action/guest/suspend", "/cluster/bulk-action/guest/migrate":
		return strings.Trim(text("vms"), "[]") == ""
	case "/nodes/{node}/vzdump":
		return text("node") == "b" && (text("stop") == "1" || text("all") == "1" && !excluded && !snapshot)
	case "/cluster/backup":
		return text("all") == "1" && !excluded && !snapshot && (text("node") == "" || text("node") == "b")
	case "/cluster/backup/{id}":
		covers := slices.Contains([]string{"listed", "all"}, text("id"))
		return covers || text("all") == "1" && !excluded && (text("node") == "" || text("node") == "b")
	case "/storage/{storage}":
		return slices.Contains([]string{"local-zfs", "nfs"}, text("storage"))
	case "/pools", "/pools/{poolid}":
		return ep.Method == http.MethodPut && slices.Contains(apischema.SplitList(text("storage")), "local-zfs")
	case "/cluster/ha/rules/{rule}":
		return text("rule") == "pair"
	case "/cluster/ha/groups/{group}":
		return text("group") == "prefer"
	case "/cluster/options", "/cluster/sdn":
		return true
	}
	return strings.HasPrefix(ep.Path, "/cluster/firewall/")
}
