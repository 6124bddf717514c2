package pvesim_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Every endpoint that is simulated can be called: what it needs is there, and the data
// of the answer is of the kind that PVE's description names.
func TestEveryRouteIsCalled(t *testing.T) {
	effort.SkipShort(t)
	apis := loadAPIs(t)
	samples := allSamples()
	for _, key := range pvesim.Endpoints() {
		t.Run(key, func(t *testing.T) {
			w, ep := sampleWorld(t, apis, key)
			w.call(ep, samples[key])
		})
	}
	for key := range samples {
		if !slices.Contains(pvesim.Endpoints(), key) {
			t.Errorf("there is a sample of %s, which is not simulated", key)
		}
	}
}

// Every write that changes a file of the cluster is refused without quorum, or its task fails.
func TestEveryWriteWithoutQuorum(t *testing.T) {
	effort.SkipShort(t)
	apis := loadAPIs(t)
	samples := allSamples()
	for _, key := range pvesim.Endpoints() {
		if strings.HasPrefix(key, "GET ") || samples[key].want != "" || samples[key].file != "" { // an upload needs none
			continue
		}
		t.Run(key, func(t *testing.T) {
			s := samples[key]
			w, ep := sampleWorld(t, apis, key)
			path, form := w.prepare(ep, s)
			w.sim.Interrupt()
			m, err := w.sim.Model()
			if err != nil {
				t.Fatal(err)
			}
			m.NoQuorum = true
			w = newWorld(t, m)
			needsNone := needsNoQuorum.MatchString(key)
			r := w.do(ep.Method, path, form)
			outcome := r.Reason
			if upid, _ := r.Body.Data.(string); strings.HasPrefix(upid, "UPID:") && !needsNone {
				outcome = w.exit(upid)
			}
			if strings.HasSuffix(key, "/lxc/{vmid}/template") { // answers null, and starts a task
				w.clock.Advance(5 * time.Second)
				node, _, _ := strings.Cut(strings.TrimPrefix(path, "/nodes/"), "/")
				outcome = w.data("/nodes/" + node + "/tasks?limit=1").([]any)[0].(map[string]any)["status"].(string)
			}
			refused := strings.Contains(outcome, "no quorum") || strings.Contains(outcome, "Permission denied") || outcome == "job errors"
			if refused == needsNone {
				t.Errorf("%s => %s", path, outcome)
			}
		})
	}
}

// needsNoQuorum are the writes that change no file of the cluster.
var needsNoQuorum = regexp.MustCompile(`/status/(stop|shutdown|reboot|reset|suspend|resume)$|/agent|/monitor|/sendkey|proxy|shell|vncticket|/tasks/|/services/` +
	`|/nodes/\{node\}/(network|apt|aplinfo|status|wakeonlan|startall|stopall|suspendall|replication|hosts|dns|time)|/bulk-action/|/storage/\{storage\}/(upload|download|oci|prune|content)`)

func loadAPIs(t *testing.T) map[int]*apischema.API {
	t.Helper()
	apis := map[int]*apischema.API{}
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		apis[major] = api
	}
	return apis
}

func allSamples() map[string]sample {
	samples := maps.Clone(usualSamples)
	maps.Copy(samples, settingSamples)
	maps.Copy(samples, cephSamples)
	return samples
}

// sampleWorld is a cluster that has an endpoint, and its description.
func sampleWorld(t *testing.T, apis map[int]*apischema.API, key string) (*world, *apischema.Endpoint) {
	t.Helper()
	method, path, _ := strings.Cut(key, " ")
	m, ep := pvesim.Cluster(), apis[9].Endpoint(method, path)
	m.PVE = "9.2.0"
	if ep == nil {
		m.PVE, ep = "8.4.14", apis[8].Endpoint(method, path)
	}
	if version := allSamples()[key].pve; version != "" {
		m.PVE, ep = version, apis[8].Endpoint(method, path)
	}
	return newWorld(t, m), ep
}

// sample is how an endpoint is called.
type sample struct {
	pve    string // the version; "" for the newest that has the endpoint
	before string // a story that makes it possible
	after  string // a POST, of whose answer the field x is $x in with, and the whole is $data
	with   string // parameters as a query, beside the usual ones
	file   string // the name of a file to upload
	kind   string // of the data, if PVE's description is wrong about it
	want   string // how its task ends, or what PVE says; "" for success
}

// usualParams are parameters of paths where a sample says nothing else.
func usualParams(path string) url.Values {
	p := url.Values{"node": {"pve1"}, "vmid": {"104"}, "storage": {"local"}, "ipam": {"pve"}}
	if strings.Contains(path, "/lxc") {
		p.Set("vmid", "203")
	}
	return p
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// prepare makes a sample possible, and returns what is to be sent.
func (w *world) prepare(ep *apischema.Endpoint, s sample) (path string, form url.Values) {
	w.Helper()
	w.story(s.before)
	form, err := url.ParseQuery(w.fillIn(s.with, s.after))
	if err != nil {
		w.Fatal(err)
	}
	usual := usualParams(ep.Path)
	path = placeholder.ReplaceAllStringFunc(ep.Path, func(name string) string {
		name = strings.Trim(name, "{}")
		value := cmp.Or(form.Get(name), usual.Get(name))
		form.Del(name)
		if value == "" {
			w.Fatalf("the sample lacks %s", name)
		}
		return url.PathEscape(value)
	})
	return path, form
}

// call sends a sample and checks what comes.
func (w *world) call(ep *apischema.Endpoint, s sample) {
	w.Helper()
	path, form := w.prepare(ep, s)
	want := cmp.Or(s.want, "OK")
	if s.file != "" {
		if got := w.sendFile(path, s.file, "bytes", "content", form.Get("content")); got != want {
			w.Errorf("%s => %s\nwant => %s", path, got, want)
		}
		return
	}
	r := w.do(ep.Method, path, form)
	upid, task := r.Body.Data.(string)
	got := r.Reason
	if task = task && strings.HasPrefix(upid, "UPID:"); task {
		got = w.exit(upid)
	}
	for name, problem := range r.Body.Errors {
		got += fmt.Sprintf(" %s: %s", name, strings.TrimSpace(problem))
	}
	if got != want {
		w.Fatalf("%s %s?%s\n     => %s\nwant => %s", ep.Method, path, form.Encode(), got, want)
	}
	if kind := kindOf(r.Body.Data); r.Status == 200 && ep.Returns != nil && ep.Returns.Type != "" && cmp.Or(s.kind, ep.Returns.Type) != kind {
		w.Errorf("%s %s: the data is %s, not %s", ep.Method, path, kind, ep.Returns.Type)
	}
}

// fillIn puts what a POST answers into a query.
func (w *world) fillIn(query, post string) string {
	w.Helper()
	if post == "" {
		return query
	}
	path, params, _ := strings.Cut(post, "?")
	form, err := url.ParseQuery(params)
	if err != nil {
		w.Fatal(err)
	}
	switch data := w.do("POST", path, form).Body.Data.(type) {
	case map[string]any:
		for name, value := range data {
			query = strings.ReplaceAll(query, "$"+name, url.QueryEscape(fmt.Sprint(value)))
		}
	default:
		query = strings.ReplaceAll(query, "$data", url.QueryEscape(fmt.Sprint(data)))
	}
	return query
}

// kindOf is the name that PVE's descriptions have for the kind of a value.
func kindOf(data any) string {
	switch data := data.(type) {
	case nil:
		return "null"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		return "integer"
	case string:
		if _, err := strconv.Atoi(data); err == nil {
			return "integer" // as Perl sends many
		}
		return "string"
	default:
		return fmt.Sprintf("%T", data)
	}
}

// usualSamples are those of endpoints for which the usual parameters are not enough.
var usualSamples = map[string]sample{
	"PUT /access/acl":                               {with: "path=/vms&roles=PVEAuditor&users=none@pve"},
	"POST /access/groups":                           {with: "groupid=staff"},
	"GET /access/groups/{groupid}":                  {before: "POST /access/groups?groupid=staff", with: "groupid=staff"},
	"PUT /access/groups/{groupid}":                  {before: "POST /access/groups?groupid=staff", with: "groupid=staff&comment=all"},
	"DELETE /access/groups/{groupid}":               {before: "POST /access/groups?groupid=staff", with: "groupid=staff"},
	"POST /access/roles":                            {with: "roleid=Starter&privs=VM.PowerMgmt"},
	"GET /access/roles/{roleid}":                    {with: "roleid=PVEAuditor"},
	"PUT /access/roles/{roleid}":                    {before: "POST /access/roles?roleid=Starter", with: "roleid=Starter&privs=VM.PowerMgmt"},
	"DELETE /access/roles/{roleid}":                 {before: "POST /access/roles?roleid=Starter", with: "roleid=Starter"},
	"POST /access/users":                            {with: "userid=new@pve"},
	"GET /access/users/{userid}":                    {with: "userid=ops@pve"},
	"PUT /access/users/{userid}":                    {with: "userid=ops@pve&comment=x"},
	"DELETE /access/users/{userid}":                 {with: "userid=none@pve"},
	"GET /access/users/{userid}/token":              {with: "userid=ops@pve"},
	"POST /access/users/{userid}/token/{tokenid}":   {with: "userid=ops@pve&tokenid=new"},
	"GET /access/users/{userid}/token/{tokenid}":    {with: "userid=ops@pve&tokenid=mcp"},
	"PUT /access/users/{userid}/token/{tokenid}":    {with: "userid=ops@pve&tokenid=mcp&comment=x"},
	"DELETE /access/users/{userid}/token/{tokenid}": {with: "userid=ops@pve&tokenid=mcp"},

	"POST /cluster/backup":                      {with: "schedule=daily&vmid=100&storage=nfs"},
	"GET /cluster/backup/{id}":                  {with: "id=backup-db"},
	"PUT /cluster/backup/{id}":                  {with: "id=backup-db&comment=x"},
	"DELETE /cluster/backup/{id}":               {with: "id=backup-db"},
	"GET /cluster/backup/{id}/included_volumes": {with: "id=backup-db"},
	"GET /cluster/jobs/schedule-analyze":        {with: "schedule=sat 02:30&iterations=2"},
	"GET /nodes/{node}/vzdump/extractconfig":    {with: "volume=nfs:backup/vzdump-qemu-100-2026_11_22-06_00_00.vma.zst"},
	"POST /nodes/{node}/vzdump":                 {with: "vmid=100&storage=nfs"},

	"POST /nodes/{node}/lxc/{vmid}/termproxy":    {},
	"GET /nodes/{node}/lxc/{vmid}/vncwebsocket":  {after: "/nodes/pve1/lxc/203/vncproxy", with: "vncticket=$ticket&port=$port"},
	"POST /nodes/{node}/qemu/{vmid}/termproxy":   {before: "PUT /nodes/pve1/qemu/104/config?serial0=socket"},
	"GET /nodes/{node}/qemu/{vmid}/vncwebsocket": {after: "/nodes/pve1/qemu/104/vncproxy", with: "vncticket=$ticket&port=$port"},

	"GET /cluster/ha/groups":                    {pve: "8.4.14"},
	"POST /cluster/ha/groups":                   {pve: "8.4.14", with: "group=near&nodes=pve1"},
	"GET /cluster/ha/groups/{group}":            {pve: "8.4.14", before: "POST /cluster/ha/groups?group=near&nodes=pve1", with: "group=near"},
	"PUT /cluster/ha/groups/{group}":            {pve: "8.4.14", before: "POST /cluster/ha/groups?group=near&nodes=pve1", with: "group=near&nodes=pve2"},
	"DELETE /cluster/ha/groups/{group}":         {pve: "8.4.14", before: "POST /cluster/ha/groups?group=near&nodes=pve1", with: "group=near"},
	"POST /cluster/ha/resources":                {with: "sid=vm:104"},
	"GET /cluster/ha/resources/{sid}":           {with: "sid=vm:103"},
	"PUT /cluster/ha/resources/{sid}":           {with: "sid=vm:103&comment=x"},
	"DELETE /cluster/ha/resources/{sid}":        {with: "sid=ct:201"},
	"POST /cluster/ha/resources/{sid}/migrate":  {with: "sid=ct:201&node=pve3"},
	"POST /cluster/ha/resources/{sid}/relocate": {with: "sid=ct:201&node=pve3"},
	"POST /cluster/ha/status/arm-ha":            {},
	"POST /cluster/ha/status/disarm-ha":         {with: "resource-mode=freeze"},
	"POST /cluster/ha/rules":                    {with: "rule=near&type=node-affinity&resources=ct:201&nodes=pve2"},
	"GET /cluster/ha/rules/{rule}":              {with: "rule=db-2-home"},
	"PUT /cluster/ha/rules/{rule}":              {with: "rule=db-2-home&type=node-affinity&comment=x"},
	"DELETE /cluster/ha/rules/{rule}":           {with: "rule=db-2-home"},

	"DELETE /nodes/{node}/lxc/{vmid}":                            {with: "node=pve3&vmid=204"},
	"POST /nodes/{node}/lxc":                                     {with: "vmid=300&ostemplate=local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz&storage=local-zfs"},
	"POST /nodes/{node}/lxc/{vmid}/clone":                        {with: "node=pve3&vmid=204&newid=300"},
	"PUT /nodes/{node}/lxc/{vmid}/config":                        {with: "memory=512"},
	"GET /nodes/{node}/lxc/{vmid}/feature":                       {with: "feature=snapshot"},
	"POST /nodes/{node}/lxc/{vmid}/migrate":                      {with: "node=pve3&vmid=204&target=pve2"},
	"POST /nodes/{node}/lxc/{vmid}/move_volume":                  {with: "node=pve3&vmid=204&volume=rootfs&storage=nfs"},
	"PUT /nodes/{node}/lxc/{vmid}/resize":                        {with: "disk=rootfs&size=%2B1G"},
	"GET /nodes/{node}/lxc/{vmid}/rrddata":                       {with: "timeframe=hour"},
	"POST /nodes/{node}/lxc/{vmid}/snapshot":                     {with: "snapname=one"},
	"GET /nodes/{node}/lxc/{vmid}/snapshot/{snapname}":           {with: "snapname=one"},
	"DELETE /nodes/{node}/lxc/{vmid}/snapshot/{snapname}":        {before: "POST /nodes/pve1/lxc/203/snapshot?snapname=one => OK", with: "snapname=one"},
	"GET /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config":    {before: "POST /nodes/pve1/lxc/203/snapshot?snapname=one => OK", with: "snapname=one"},
	"PUT /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config":    {before: "POST /nodes/pve1/lxc/203/snapshot?snapname=one => OK", with: "snapname=one&description=x"},
	"POST /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback": {before: "POST /nodes/pve1/lxc/203/snapshot?snapname=one => OK", with: "snapname=one"},
	"POST /nodes/{node}/lxc/{vmid}/status/start":                 {with: "node=pve3&vmid=204", want: "WARNINGS: 1"},
	"POST /nodes/{node}/lxc/{vmid}/status/suspend":               {want: "command 'lxc-checkpoint -n 203 -s -D /var/lib/vz/dump' failed: exit code 1"},
	"POST /nodes/{node}/lxc/{vmid}/status/resume":                {before: "POST /nodes/pve1/lxc/203/status/stop", want: "command 'lxc-checkpoint -n 203 -r --foreground -D /var/lib/vz/dump' failed: exit code 1"},
	"POST /nodes/{node}/lxc/{vmid}/template":                     {with: "node=pve3&vmid=204"},
	"POST /nodes/{node}/migrateall":                              {with: "target=pve2&vms=203&maxworkers=1"},
	"POST /nodes/{node}/status":                                  {with: "command=reboot"},
	"POST /nodes/{node}/wakeonlan":                               {before: "PUT /nodes/pve2/config?wakeonlan=BC:24:11:00:00:01", with: "node=pve2"},
	"POST /cluster/bulk-action/guest/start":                      {with: "vms=109"},
	"POST /cluster/bulk-action/guest/shutdown":                   {with: "vms=203"},
	"POST /cluster/bulk-action/guest/suspend":                    {with: "vms=104"},
	"POST /cluster/bulk-action/guest/migrate":                    {with: "vms=203&target=pve2&online=1"},
	"POST /nodes/{node}/startall":                                {with: "vms=203"},
	"POST /nodes/{node}/stopall":                                 {with: "vms=203"},
	"POST /nodes/{node}/suspendall":                              {with: "vms=104"},

	"DELETE /nodes/{node}/qemu/{vmid}":                            {with: "node=pve3&vmid=105"},
	"POST /nodes/{node}/qemu":                                     {with: "vmid=300"},
	"POST /nodes/{node}/qemu/{vmid}/agent":                        {with: "command=ping"},
	"POST /nodes/{node}/qemu/{vmid}/agent/exec":                   {with: "command=hostname"},
	"GET /nodes/{node}/qemu/{vmid}/agent/exec-status":             {after: "/nodes/pve1/qemu/104/agent/exec?command=hostname", with: "pid=$pid"},
	"GET /nodes/{node}/qemu/{vmid}/agent/file-read":               {before: "POST /nodes/pve1/qemu/104/agent/file-write?file=/tmp/a&content=b", with: "file=/tmp/a"},
	"POST /nodes/{node}/qemu/{vmid}/agent/file-write":             {with: "file=/tmp/a&content=b"},
	"POST /nodes/{node}/qemu/{vmid}/agent/set-user-password":      {with: "username=root&password=correcthorse"},
	"POST /nodes/{node}/qemu/{vmid}/clone":                        {with: "newid=300"},
	"GET /nodes/{node}/qemu/{vmid}/cloudinit/dump":                {before: "POST /nodes/pve1/qemu/104/config?ide2=local-zfs:cloudinit => OK", with: "type=user"},
	"PUT /nodes/{node}/qemu/{vmid}/cloudinit":                     {before: "POST /nodes/pve1/qemu/104/config?ide2=local-zfs:cloudinit => OK"},
	"POST /nodes/{node}/qemu/{vmid}/config":                       {with: "cores=3"},
	"PUT /nodes/{node}/qemu/{vmid}/config":                        {with: "cores=3"},
	"GET /nodes/{node}/qemu/{vmid}/feature":                       {with: "feature=snapshot"},
	"POST /nodes/{node}/qemu/{vmid}/migrate":                      {with: "target=pve2&online=1&with-local-disks=1"},
	"POST /nodes/{node}/qemu/{vmid}/monitor":                      {with: "command=info name"},
	"POST /nodes/{node}/qemu/{vmid}/move_disk":                    {with: "disk=scsi0&storage=nfs"},
	"PUT /nodes/{node}/qemu/{vmid}/resize":                        {with: "disk=scsi0&size=%2B1G"},
	"GET /nodes/{node}/qemu/{vmid}/rrddata":                       {with: "timeframe=hour"},
	"PUT /nodes/{node}/qemu/{vmid}/sendkey":                       {with: "key=ret"},
	"POST /nodes/{node}/qemu/{vmid}/snapshot":                     {with: "snapname=one"},
	"GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}":           {with: "snapname=one"},
	"DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}":        {before: "POST /nodes/pve1/qemu/104/snapshot?snapname=one => OK", with: "snapname=one"},
	"GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config":    {before: "POST /nodes/pve1/qemu/104/snapshot?snapname=one => OK", with: "snapname=one"},
	"PUT /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config":    {before: "POST /nodes/pve1/qemu/104/snapshot?snapname=one => OK", with: "snapname=one&description=x"},
	"POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback": {before: "POST /nodes/pve1/qemu/104/snapshot?snapname=one => OK", with: "snapname=one"},
	"POST /nodes/{node}/qemu/{vmid}/template":                     {with: "node=pve3&vmid=105"},
	"POST /nodes/{node}/qemu/{vmid}/status/start":                 {before: "POST /nodes/pve1/qemu/104/status/stop => OK"},
	"PUT /nodes/{node}/qemu/{vmid}/unlink":                        {with: "idlist=unused0"},

	"GET /cluster/ceph/status":                         {want: "binary not installed: /usr/bin/ceph-mon"},
	"GET /cluster/sdn/ipams/{ipam}/status":             {with: "ipam=pve"},
	"GET /nodes/{node}/ceph/status":                    {want: "binary not installed: /usr/bin/ceph-mon"},
	"GET /nodes/{node}/storage/{storage}/prunebackups": {with: "storage=pbs"},

	"GET /nodes/{node}/disks/zfs/{name}":                        {with: "name=rpool"},
	"POST /nodes/{node}/aplinfo":                                {with: "storage=local&template=debian-12-standard_12.7-1_amd64.tar.zst"},
	"GET /nodes/{node}/query-oci-repo-tags":                     {with: "reference=docker.io/library/nginx"},
	"GET /nodes/{node}/query-url-metadata":                      {with: "url=https://example.org/d.iso"},
	"POST /nodes/{node}/storage/{storage}/oci-registry-pull":    {with: "reference=nginx:latest"},
	"GET /nodes/{node}/storage/{storage}/file-restore/list":     {with: "volume=local:iso/virtio-win-0.1.271.iso&filepath=/", want: "unable to use volume local:iso/virtio-win-0.1.271.iso - content type needs to be 'backup'"},
	"GET /nodes/{node}/storage/{storage}/file-restore/download": {with: "volume=local:iso/virtio-win-0.1.271.iso&filepath=Lw==", want: "unable to use volume local:iso/virtio-win-0.1.271.iso - content type needs to be 'backup'"},
	"GET /nodes/{node}/storage/{storage}/identity":              {with: "storage=pbs"},
	"GET /nodes/{node}/storage/{storage}/import-metadata":       {with: "volume=iso/virtio-win-0.1.271.iso", want: "invalid content type 'iso'"},

	"GET /nodes/{node}/disks/smart":                 {with: "disk=/dev/nvme0n1"},
	"GET /nodes/{node}/network/{iface}":             {with: "iface=vmbr0"},
	"GET /nodes/{node}/rrddata":                     {with: "timeframe=hour"},
	"GET /nodes/{node}/services/{service}":          {with: "service=pveproxy"},
	"GET /nodes/{node}/services/{service}/state":    {with: "service=pveproxy"},
	"POST /nodes/{node}/services/{service}/reload":  {with: "service=chrony"},
	"POST /nodes/{node}/services/{service}/restart": {with: "service=chrony"},
	"POST /nodes/{node}/services/{service}/start":   {with: "service=chrony"},
	"POST /nodes/{node}/services/{service}/stop":    {with: "service=chrony"},

	"DELETE /pools":          {before: "POST /pools?poolid=new", with: "poolid=new"},
	"POST /pools":            {with: "poolid=new"},
	"PUT /pools":             {with: "poolid=web&comment=x"},
	"GET /pools/{poolid}":    {with: "poolid=web"},
	"PUT /pools/{poolid}":    {with: "poolid=web&comment=x"},
	"DELETE /pools/{poolid}": {before: "POST /pools?poolid=new", with: "poolid=new"},

	"POST /cluster/replication":                        {with: "id=104-0&target=pve2&type=local"},
	"GET /cluster/replication/{id}":                    {before: "POST /cluster/replication?id=104-0&target=pve2&type=local", with: "id=104-0"},
	"PUT /cluster/replication/{id}":                    {before: "POST /cluster/replication?id=104-0&target=pve2&type=local", with: "id=104-0&comment=x"},
	"DELETE /cluster/replication/{id}":                 {before: "POST /cluster/replication?id=104-0&target=pve2&type=local", with: "id=104-0"},
	"GET /nodes/{node}/replication/{id}":               {with: "id=104-0"},
	"GET /nodes/{node}/replication/{id}/log":           {before: "POST /cluster/replication?id=104-0&target=pve2&type=local", with: "id=104-0", kind: "object"},
	"GET /nodes/{node}/replication/{id}/status":        {before: "POST /cluster/replication?id=104-0&target=pve2&type=local", with: "id=104-0"},
	"POST /nodes/{node}/replication/{id}/schedule_now": {before: "POST /cluster/replication?id=104-0&target=pve2&type=local", with: "id=104-0"},

	"POST /storage":                                           {with: "storage=more&type=dir&path=/srv/more&content=iso"},
	"PUT /storage/{storage}":                                  {with: "disable=1"},
	"DELETE /storage/{storage}":                               {with: "storage=old-nas"},
	"POST /nodes/{node}/storage/{storage}/content":            {with: "storage=local-zfs&vmid=104&filename=vm-104-disk-5&size=1G"},
	"GET /nodes/{node}/storage/{storage}/content/{volume}":    {with: "storage=nfs&volume=nfs:backup/vzdump-qemu-100-2026_11_22-06_00_00.vma.zst"},
	"PUT /nodes/{node}/storage/{storage}/content/{volume}":    {with: "storage=nfs&volume=nfs:backup/vzdump-qemu-100-2026_11_22-06_00_00.vma.zst&protected=1"},
	"DELETE /nodes/{node}/storage/{storage}/content/{volume}": {with: "storage=nfs&volume=nfs:backup/vzdump-qemu-100-2026_11_22-06_00_00.vma.zst"},
	"POST /nodes/{node}/storage/{storage}/download-url":       {with: "content=iso&filename=d.iso&url=https://example.org/d.iso"},
	"GET /nodes/{node}/storage/{storage}/rrddata":             {with: "timeframe=hour"},
	"POST /nodes/{node}/storage/{storage}/upload":             {with: "content=iso", file: "d.iso"},

	"GET /nodes/{node}/tasks/{upid}":        {after: "/nodes/pve1/qemu/104/status/reset", with: "upid=$data"},
	"DELETE /nodes/{node}/tasks/{upid}":     {after: "/nodes/pve1/qemu/104/status/shutdown", with: "upid=$data"},
	"GET /nodes/{node}/tasks/{upid}/log":    {after: "/nodes/pve1/qemu/104/status/reset", with: "upid=$data"},
	"GET /nodes/{node}/tasks/{upid}/status": {after: "/nodes/pve1/qemu/104/status/reset", with: "upid=$data"},
}
