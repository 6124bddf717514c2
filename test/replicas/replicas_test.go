package replicas

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

func TestReplicas(t *testing.T) {
	if os.Getenv("PVE_MCP_CLIENTS") == "" {
		t.Skip("nginx is fetched from Debian only for make clients")
	}
	nginx, binary := nginx(t), build(t)
	for name, tell := range map[string]func(*world){
		"each request elsewhere": eachElsewhere,
		"a replica is killed":    killed,
		"sessions":               sessions,
		"what nginx keeps out":   keptOut,
	} {
		t.Run(name, func(t *testing.T) { tell(open(t, nginx, binary)) })
	}
}

// A client of 2026-07-28 lists, starts a clone, follows its task, is asked for consent and
// answers, and no request lands where the one before did.
func eachElsewhere(w *world) {
	var path []string
	step := func(method string, params map[string]any) map[string]any {
		w.Helper()
		a := w.ask(method, params)
		if a.status != http.StatusOK || a.result == nil {
			w.Fatalf("%s: %d %s", method, a.status, a.body)
		}
		path = append(path, w.landed(a.id))
		return a.result
	}
	offered, _ := toolset.Offered(toolset.Selection{})
	if tools, _ := step("tools/list", nil)["tools"].([]any); len(tools) != len(offered) {
		w.Errorf("%d tools of %d", len(tools), len(offered))
	}
	clone := content(step("tools/call", call("pve_clone_guest", map[string]any{"vmid": 900, "newid": 777, "full": true, "wait": 0})))
	if clone["outcome"] != "running" {
		w.Errorf("the clone: %v", clone)
	}
	task := map[string]any{"upid": clone["upid"]}
	if seen := content(step("tools/call", call("pve_task_status", task))); seen["state"] != "running" {
		w.Errorf("its task: %v", seen)
	}
	task["wait"] = 45
	if seen := content(step("tools/call", call("pve_task_status", task))); seen["exit_status"] != "OK" {
		w.Errorf("its task at the end: %v", seen)
	}
	made := step("tools/call", withTasks(call("pve_clone_guest", map[string]any{"vmid": 900, "newid": 778, "full": true})))
	handle := withTasks(map[string]any{"taskId": made["taskId"]})
	if seen := step("tasks/get", handle); made["resultType"] != "task" || seen["status"] != "working" {
		w.Errorf("the clone as a task of MCP: %v, and then %v", made, seen)
	}
	listed, _ := content(step("tools/call", call("pve_list_tasks", map[string]any{"type": "qmclone"})))["tasks"].([]any)
	newest, _ := listed[0].(map[string]any)
	step("tools/call", call("pve_task_status", map[string]any{"upid": newest["upid"], "wait": 45}))
	seen := step("tasks/get", handle)
	if result, _ := seen["result"].(map[string]any); seen["status"] != "completed" || content(result)["outcome"] != "ok" {
		w.Errorf("that task at the end: %v", seen)
	}
	erase := call("pve_delete_snapshot", map[string]any{"vmid": 102, "snapname": "before-upgrade", "wait": 45})
	asked := step("tools/call", erase)
	if asked["resultType"] != "input_required" {
		w.Fatalf("the human is not asked: %v", asked)
	}
	if gone := content(step("tools/call", answer(erase, asked))); gone["outcome"] != "ok" {
		w.Errorf("after the consent: %v", gone)
	}
	for i := range path[1:] {
		if path[i] == path[i+1] {
			w.Errorf("two requests in a row landed on one replica: %v", path)
		}
	}
	if all := slices.Compact(slices.Sorted(slices.Values(path))); len(all) != 3 {
		w.Errorf("only %v had requests", all)
	}
	w.Logf("the requests landed on %s", strings.Join(path, ", "))
}

// A replica that is killed takes the request that it has with it, and nothing else: what
// it began goes on in PVE, what it asked can be answered, and nginx sends nothing twice.
func killed(w *world) {
	erase := call("pve_delete_snapshot", map[string]any{"vmid": 102, "snapname": "before-upgrade", "wait": 45})
	question := w.ask("tools/call", erase)
	asker := w.landed(question.id)

	lost := make(chan reply)
	go func() {
		lost <- w.ask("tools/call", call("pve_clone_guest", map[string]any{"vmid": 900, "newid": 777, "full": true, "wait": 45}))
	}()
	busy := w.began("pve_clone_guest")
	clones := func() (upids []any) {
		tasks, _ := content(w.ask("tools/call", call("pve_list_tasks", map[string]any{"type": "qmclone"})).result)["tasks"].([]any)
		for _, task := range tasks {
			upids = append(upids, task.(map[string]any)["upid"])
		}
		return upids
	}
	for len(clones()) == 0 {
		if w.Context().Err() != nil {
			w.Fatal("PVE knows of no clone")
		}
	}
	w.replicas[busy].kill()
	if a := <-lost; a.status != http.StatusBadGateway || !strings.Contains(a.body, "whether a change was made is not known") {
		w.Errorf("the request in flight: %d %s", a.status, a.body)
	}
	if busy != asker {
		w.replicas[asker].kill()
	}
	left := w.alive()
	for range 4 {
		if a := w.ask("tools/call", call("pve_cluster_status", nil)); a.status != http.StatusOK || !slices.Contains(left, w.landed(a.id)) {
			w.Errorf("after that: %d %s", a.status, a.body)
		}
	}
	upids := clones()
	if len(upids) != 1 {
		w.Fatalf("PVE was asked for %d clones", len(upids))
	}
	if task := content(w.ask("tools/call", call("pve_task_status", map[string]any{"upid": upids[0], "wait": 45})).result); task["exit_status"] != "OK" {
		w.Errorf("what it began: %v", task)
	}
	if gone := content(w.ask("tools/call", answer(erase, question.result)).result); gone["outcome"] != "ok" {
		w.Errorf("what it asked: %v", gone)
	}
	if again := w.beginnings("pve_clone_guest"); again != 1 {
		w.Errorf("%d replicas were asked for the clone", again)
	}
}

// Sessions of a handshake version stay with the replica that has them; when it is gone, the
// client hears that and begins anew. Its human is asked within the session.
func sessions(w *world) {
	var clients []*client
	var homes []string
	for range 3 {
		c := w.connect()
		clients, homes = append(clients, c), append(homes, c.home())
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, slices.Sorted(slices.Values(homes))); diff != "" {
		w.Errorf("where the sessions are (-want +got):\n%s", diff)
	}
	for range 2 {
		for _, c := range clients {
			if _, err := c.call("pve_cluster_status", nil); err != nil {
				w.Error(err)
			}
		}
	}
	asked := clients[0]
	if gone, err := asked.call("pve_delete_snapshot", map[string]any{"vmid": 102, "snapname": "before-upgrade", "wait": 45}); err != nil || gone["outcome"] != "ok" {
		w.Errorf("%v %v", gone, err)
	}
	if asked.questions != 1 {
		w.Errorf("the human was asked %d times", asked.questions)
	}
	for i, c := range clients {
		for _, id := range c.seen[1:] { // the first has no session yet
			if at := w.landed(id); at != homes[i] {
				w.Errorf("a request of a session of %s landed on %s", homes[i], at)
			}
		}
	}

	w.replicas[homes[1]].kill()
	if _, err := clients[1].call("pve_cluster_status", nil); err == nil || clients[1].status != http.StatusNotFound {
		w.Errorf("the replica of the session is gone, and the client hears %d, %v", clients[1].status, err)
	}
	anew := w.connect()
	if !slices.Contains(w.alive(), anew.home()) {
		w.Errorf("the new session is on %s", anew.home())
	}
	for _, c := range []*client{clients[0], anew, clients[2]} {
		if _, err := c.call("pve_cluster_status", nil); err != nil {
			w.Errorf("a session on %s: %v", c.home(), err)
		}
	}
}

func keptOut(w *world) {
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/healthz", "", http.StatusOK},
		{"GET", "/readyz", "", http.StatusNotFound},
		{"GET", "/metrics", "", http.StatusNotFound},
		{"GET", "/", "", http.StatusNotFound},
		{"GET", "/.well-known/oauth-protected-resource/mcp", "", http.StatusNotFound}, // no issuer is set
		{"POST", "/mcp", strings.Repeat(" ", 1<<20+1), http.StatusRequestEntityTooLarge},
		{"POST", "/mcp", "{}", http.StatusUnauthorized},
	} {
		req, err := http.NewRequestWithContext(w.Context(), tt.method, w.url+tt.path, strings.NewReader(tt.body))
		if err != nil {
			w.Fatal(err)
		}
		resp, err := w.http.Do(req)
		if err != nil {
			w.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != tt.status {
			w.Errorf("%s %s: %s, want %d", tt.method, tt.path, resp.Status, tt.status)
		}
	}
	for name, r := range w.replicas {
		if said := r.health("--ready"); said != "ready\n" {
			w.Errorf("%s says %q", name, said)
		}
		r.end(syscall.SIGTERM)
	}
	if a := w.ask("tools/list", nil); a.status != http.StatusBadGateway || !strings.Contains(a.body, `"jsonrpc":"2.0"`) {
		w.Errorf("without a replica: %d %s", a.status, a.body)
	}
}
