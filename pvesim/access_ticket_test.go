package pvesim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// login gets a ticket, as PVE's web page, proxmoxer and Terraform's provider do: without
// authentication, by POST.
func (w *world) login(user, password string) (map[string]any, string) {
	w.Helper()
	r := w.anyone("POST", "/access/ticket", url.Values{"username": {user}, "password": {password}})
	data, _ := r.Body.Data.(map[string]any)
	if ticket, ok := data["ticket"].(string); ok {
		w.ticket, w.forgery = ticket, data["CSRFPreventionToken"].(string)
	}
	return data, strings.TrimSpace(r.Reason + " " + r.Body.Message)
}

// anyone asks without any authentication.
func (w *world) anyone(method, path string, form url.Values) reply {
	w.Helper()
	nobody := *w
	nobody.ticket, nobody.forgery, nobody.token = " ", "", ""
	return nobody.do(method, path, form)
}

// A user logs in with a password. The ticket alone reads, and writes with the token against
// forged requests, for two hours.
func TestLogin(t *testing.T) {
	t.Parallel()
	m := pvesim.Cluster()
	w := newWorld(t, m)
	if data, why := w.login("root@pam", "wrong-one"); data != nil || !strings.HasPrefix(why, "authentication failure") {
		t.Fatalf("a wrong password: %v %q", data, why)
	}
	data, why := w.login("ops@pve", "simulated")
	if data["username"] != "ops@pve" || !strings.HasPrefix(w.ticket, "PVE:ops@pve:") || why != "OK" {
		t.Fatalf("a right password: %v %q", data, why)
	}
	if data["clustername"] != "demo" || data["cap"].(map[string]any)["vms"].(map[string]any)["VM.PowerMgmt"] != 1.0 {
		t.Errorf("the login tells %v", data)
	}
	w.story(`
		GET /version#release                          => 9.0
		PUT /nodes/pve1/qemu/100/config?cores=2       => null
		POST /nodes/pve1/qemu/100/status/stop         => OK
		GET /access/permissions?path=/vms#/vms#VM.PowerMgmt => 1
	`)
	if got := w.sim.Requests(); got[1].User != "" || got[2].User != "ops@pve" {
		t.Errorf("the users: %q, %q", got[1].User, got[2].User)
	}
	forged := *w
	forged.forgery = ""
	forged.story(`
		GET /version#release                          => 9.0
		PUT /nodes/pve1/qemu/100/config?cores=3       => 401 Permission denied - invalid csrf token
	`)
	other := *w
	other.login("audit@pve", "simulated")
	other.forgery = w.forgery
	other.story(`PUT /access/password?userid=audit@pve&password=longenough => 401 Permission denied - invalid csrf token`)
	w.clock.Advance(2*time.Hour + time.Second)
	w.story(`GET /version => 401 Authentication failed!`)
}

// root by password is more than root's tokens.
func TestRootByPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	w.story(`
		PUT /nodes/pve1/qemu/100/config?args=-x                          => 500 only root can set 'args' config
		PUT /access/password?userid=ops@pve&password=longenough          => 403 Permission check failed (URI '/access/password' not available with API token, need proper ticket.
	`)
	w.login("root@pam", "simulated")
	w.story(`
		PUT /nodes/pve1/qemu/100/config?args=-x                          => null
		GET /nodes/pve1/qemu/100/config#args                             => -x
		PUT /nodes/pve1/qemu/100/config?usb0=host%3D1234:5678            => null
		PUT /nodes/pve1/qemu/100/config?skiplock=1&onboot=1              => 501 Option 'skiplock' of PUT /nodes/{node}/qemu/{vmid}/config not implemented by pvesim
		PUT /nodes/pve1/lxc/200/config?features=fuse%3D1                 => null
		PUT /access/password?userid=ops@pve&password=short               => 400 Parameter verification failed. password: value must be at least 8 characters long
		PUT /access/password?userid=ghost@pve&password=longenough        => 500 no such user ('ghost@pve')
		PUT /access/password?userid=ops@pve&password=longenough          => null
		POST /access/users?userid=new@pve&password=new-password          => null
	`)
	for _, user := range [][2]string{{"ops@pve", "longenough"}, {"new@pve", "new-password"}} {
		if _, why := w.login(user[0], user[1]); why != "OK" {
			t.Errorf("%s: %s", user[0], why)
		}
	}
	w.story(`
		PUT /access/password?userid=new@pve&password=another-one         => 400 Parameter verification failed. confirmation-password: password is required to modify user
		PUT /access/password?userid=new@pve&password=another-one&confirmation-password=wrong-one => 500 invalid credentials
		PUT /access/password?userid=root@pam&password=another-one&confirmation-password=new-password => 403 Permission check failed
		PUT /access/password?userid=new@pve&password=another-one&confirmation-password=new-password => null
	`)
	if _, why := w.login("new@pve", "new-password"); why == "OK" {
		t.Error("the old password is still right")
	}
}

// What PVE tells everybody, and how a ticket is verified or renewed.
func TestWithoutAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	if r := w.anyone("GET", "/access/domains", nil); r.Status != http.StatusOK {
		t.Errorf("the realms: %d %s", r.Status, r.Reason)
	}
	if r := w.anyone("GET", "/access/ticket", nil); r.Status != http.StatusOK || r.Body.Data != nil {
		t.Errorf("no ticket: %d %v", r.Status, r.Body.Data)
	}
	if r := w.anyone("GET", "/version", nil); r.Status != http.StatusUnauthorized {
		t.Errorf("the version: %d", r.Status)
	}
	w.login("audit@pve", "simulated")
	ticket := w.ticket
	for _, tt := range []struct {
		form url.Values
		want int
	}{
		{url.Values{"username": {"audit@pve"}, "password": {ticket}}, 200},
		{url.Values{"username": {"audit"}, "realm": {"pve"}, "password": {"simulated"}}, 200},
		{url.Values{"username": {"ops@pve"}, "password": {ticket}}, 401},
		{url.Values{"username": {"audit@pve"}, "password": {ticket + "x"}}, 401},
		{url.Values{"username": {"audit@pve"}, "password": {ticket}, "path": {"/vms"}, "privs": {"VM.Audit"}}, 200},
		{url.Values{"username": {"audit@pve"}, "password": {ticket}, "path": {"/vms"}, "privs": {"VM.PowerMgmt"}}, 401},
		{url.Values{"username": {"audit@pve"}, "password": {ticket}, "path": {"/vms"}}, 400},
	} {
		if r := w.anyone("POST", "/access/ticket", tt.form); r.Status != tt.want {
			t.Errorf("%v: %d %s, want %d", tt.form, r.Status, r.Reason, tt.want)
		}
	}
	w.ticket = ""
	w.as("root@pam!full").story(`PUT /access/users/audit@pve?enable=0 => null`)
	w.ticket = ticket
	w.story(`GET /version => 401 Authentication failed!`)
}
