package audit_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/audit"
)

const (
	m     = "**********"
	uuid  = "12345678-1234-1234-1234-123456789abc"
	print = "SOur2yDq8U4PraEjDJ5BVbooTWhOoGFlAHUlSbYfNPY" // of the key AAAAhunter2A
)

func TestSecretsAreMasked(t *testing.T) {
	for _, tt := range []struct{ give, want string }{
		{`{"vmid":104,"big":9007199254740993,"share":1e2,"on":true,"none":null}`, `{"big":9007199254740993,"none":null,"on":true,"share":1e2,"vmid":104}`},
		{``, `{}`},
		{`{"set":{"cipassword":"hunter2","ciuser":"me"}}`, `{"set":{"cipassword":"` + m + `","ciuser":"me"}}`},
		{`{"set":{"CIPassword":["hunter2"]}}`, `{"set":{"CIPassword":"` + m + `"}}`},
		{`{"set":"{\"cipassword\":\"hunter2\"} password=hunter2"}`, `{"set":"{\"cipassword\":\"` + m + `\"} password=` + m + `"}`},
		{`{"set":"{\"cipassword\":\"hunter2\""}`, `{"set":"{\"cipassword\":\"` + m + `\""}`},
		{`{"set":{"sshkeys":"ssh-ed25519%20AAAAhunter2A%20me%40laptop%0Aecdsa-sha2-nistp256 AAAAhunter2\nhunter2"}}`,
			`{"set":{"sshkeys":"ssh-ed25519 SHA256:` + print + ` me@laptop\n` + m + `\n` + m + `"}}`},
		{`{"sshkeys":"command=\"hunter2\" ssh-rsa AAAAhunter2A a password=hunter2"}`, `{"sshkeys":"ssh-rsa SHA256:` + print + ` a password=` + m + `"}`},
		{`{"params":{"key":"hunter2","keyring":"hunter2","data":"hunter2","client-key":"hunter2","eab-hmac-key":"hunter2","type":"pbs"}}`,
			`{"params":{"client-key":"` + m + `","data":"` + m + `","eab-hmac-key":"` + m + `","key":"` + m + `","keyring":"` + m + `","type":"pbs"}}`},
		{`{"sshkeys":{"a":"hunter2"}}`, `{"sshkeys":"` + m + `"}`},
		{`{"command":["mysql","--password","hunter2","--token=hunter2","-v"],"stdin":"hunter2"}`,
			`{"command":["mysql","--password","` + m + `","--token=` + m + `","-v"],"stdin":"` + m + ` (7 bytes)"}`},
		{`{"command":["curl","-u","me:hunter2","-H","Authorization: Basic hunter2"]}`, `{"command":["curl","-u","me:` + m + `","-H","Authorization: Basic ` + m + `"]}`},
		{`{"command":["docker","-u","1000:1000"],"shell":"DB_PASS=hunter2 run"}`, `{"command":["docker","-u","1000:1000"],"shell":"DB_PASS=` + m + ` run"}`},
		{`{"shell":"mysql --db-password hunter2 -v; API_KEY='hunter2 x' run; curl -H 'Authorization: Bearer hunter2hunter2' https://me:hunter2@host/"}`,
			`{"shell":"mysql --db-password ` + m + ` -v; API_KEY='` + m + `' run; curl -H 'Authorization: Bearer ` + m + `' https://me:` + m + `@host/"}`},
		{`{"a":{"b":[{"api-key":"hunter2","Client_Secret":1,"x":"y"}]}}`, `{"a":{"b":[{"Client_Secret":"` + m + `","api-key":"` + m + `","x":"y"}]}}`},
		{`{"text":"ops@pve!mcp=` + uuid + ` PVEAPIToken=ops@pve!uuid=` + uuid + ` root@pam!x ` + uuid + ` root@pam!x: ` + uuid + ` X=` + uuid + `"}`,
			`{"text":"ops@pve!mcp=` + m + ` PVEAPIToken=` + m + ` root@pam!x ` + m + ` root@pam!x: ` + m + ` X=` + m + `"}`},
		{`{"smbios1":"uuid=` + uuid + `","vmgenid":"` + uuid + `","id":"id=` + uuid + `","p":"guid=` + uuid + `"}`,
			`{"id":"id=` + m + `","p":"guid=` + m + `","smbios1":"uuid=` + uuid + `","vmgenid":"` + uuid + `"}`},
		{`{"text":"PVE:root@pam:67AB01CD::hunter2+/== ok"}`, `{"text":"` + m + ` ok"}`},
		{`{"text":"a -----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY----- b -----BEGIN PRIVATE KEY-----\nhunter2"}`, `{"text":"a ` + m + ` b ` + m + `"}`},
		{`{"text":"root:$6$salt$hunter2hunter2:x costs $5"}`, `{"text":"root:` + m + `:x costs $5"}`},
		{`{"command":["echo","[not json"],"name":"web-1","tags":"prod;web"}`, `{"command":["echo","[not json"],"name":"web-1","tags":"prod;web"}`},
		{`["hunter2`, `"` + m + ` (9 bytes that are no JSON)"`},
	} {
		l, path := start(t)
		if err := l.Refuse(t.Context(), audit.Record{Arguments: json.RawMessage(tt.give), About: "password: hunter2"}, "refused"); err != nil {
			t.Fatal(err)
		}
		text := read(t, path)
		var got struct {
			Arguments json.RawMessage
			About     string
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if string(got.Arguments) != tt.want || strings.Contains(text, "hunter2") || got.About != "password: "+m {
			t.Errorf("%s\ngot  %s\nwant %s", tt.give, got.Arguments, tt.want)
		}
	}
}
