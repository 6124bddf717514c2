package render_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/render"
)

func TestMaskSecrets(t *testing.T) {
	const m = render.Mask
	for give, want := range map[string]string{
		"login: admin, password: hunter2!":                                                   "login: admin, password: " + m,
		"https://a.blob.core.windows.net/x.vhd?sv=2020&sig=abc%2Bdef&se=2027":                "https://a.blob.core.windows.net/x.vhd?sv=2020&sig=" + m + "&se=2027",
		"GET https://b.example/x.iso?Expires=1&X-Amz-Signature=0a1b2c":                       "GET https://b.example/x.iso?Expires=1&X-Amz-Signature=" + m,
		"https://b.example/x?Signature=abc#y":                                                "https://b.example/x?Signature=" + m + "#y",
		"https://b.example/x?design=blue&config=1":                                           "https://b.example/x?design=blue&config=1",
		`{"api_key": "abc123", "x": 1}`:                                                      `{"api_key": "` + m + `", "x": 1}`,
		"MYSQL_ROOT_PASSWORD=geheim PATH=/bin":                                               "MYSQL_ROOT_PASSWORD=" + m + " PATH=/bin",
		"Passwd=geheim; next":                                                                "Passwd=" + m + "; next",
		"token: ops@pve!mcp=12345678-1234-1234-1234-123456789abc":                            "token: " + m,
		"use ops@pve!mcp=12345678-1234-1234-1234-123456789abc":                               "use ops@pve!mcp=" + m,
		"aws AKIAIOSFODNN7EXAMPLE here":                                                      "aws " + m + " here",
		"ghp_0123456789abcdefghijABCDEFGHIJ012345":                                           m,
		"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-_":                         "jwt " + m,
		"https://bob:pa55@git.lan/x":                                                         "https://bob:" + m + "@git.lan/x",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\nafter": m + "\nafter",
		"-----BEGIN RSA PRIVATE KEY-----\ncut":                                               m,
		"the password is on the fridge, the token machine is broken":                         "the password is on the fridge, the token machine is broken",
		"Pa\u017f\u017fword: hunter2, acce\u017fs-\u212aey=abc":                              "Pa\u017f\u017fword: " + m + ", acce\u017fs-\u212aey=" + m,
		"xoxb-0123456789 glpat-0123456789abcdefghij sk-0123456789abcdefghij":                 m + " " + m + " " + m,
		"Authorization: BEARER 0123456789abcdef, pvemcp_0123456789abcdefghij":                "Authorization: BEARER " + m + ", " + m,
		"uuid 12345678-1234-1234-1234-123456789abc of a disk":                                "uuid 12345678-1234-1234-1234-123456789abc of a disk",
		"Authorization: Basic dXNlcjpwYXNz and on":                                           "Authorization: Basic " + m + " and on",
		`curl -H "authorization: Basic dXNlcjpwYXNz" -v`:                                     `curl -H "authorization: Basic ` + m + `" -v`,
		"Proxy-Authorization=Digest abc, x":                                                  "Proxy-Authorization=Digest " + m + ", x",
		"Cookie: PVEAuthCookie=x; lang=en":                                                   "Cookie: " + m,
		"DB_PASS=hunter2 DBPASS=hunter2 db.pwd: hunter2, x":                                  "DB_PASS=" + m + " DBPASS=" + m + " db.pwd: " + m + ", x",
		"bypass=1 compass: north, 3 pass, 2 fail":                                            "bypass=1 compass: north, 3 pass, 2 fail",
		"pass: hunter2\nMYSQL_PWD='hunter 2'":                                                "pass: " + m + "\nMYSQL_PWD='" + m + "'",
		"curl -u bob:hunter2 -uann:hunter2 --user=x:hunter2":                                 "curl -u bob:" + m + " -uann:" + m + " --user=x:" + m,
		"docker run -u 1000:1000 x; ls -u a b":                                               "docker run -u 1000:1000 x; ls -u a b",
		"the password is hunter2.":                                                           "the password is " + m + ".",
		"Passphrase was: \"hunter 2\"":                                                       "Passphrase was: \"" + m + "\"",
		"the password is wrong, the token is not known":                                      "the password is wrong, the token is not known",
		"sshpass -p hunter2 ssh x; mysqldump -uroot -phunter2 db":                            "sshpass -p " + m + " ssh x; mysqldump -uroot -p" + m + " db",
		"root:$6$salt$hunter2hunter2:x costs $5":                                             "root:" + m + ":x costs $5",
		"PVE:root@pam:67AB01CD::hunter2+/== ok":                                              m + " ok",
		"redis://:hunter2@cache/0":                                                           "redis://:" + m + "@cache/0",
		"":                                                                                   "",
	} {
		if got := render.MaskSecrets(give); got != want {
			t.Errorf("%q: %q, want %q", give, got, want)
		}
	}
}

func TestSSHKeys(t *testing.T) {
	const key = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	got := render.SSHKeys("ssh-ed25519 " + key + " bob@laptop\n\nno-pty,command=\"x\" ssh-ed25519 " + key + "\nnonsense\nssh-rsa %%%\n")
	lines := strings.Split(got, "\n")
	if len(lines) != 4 || strings.Contains(got, key) || !strings.HasPrefix(lines[0], "ssh-ed25519 SHA256:") || !strings.HasSuffix(lines[0], " bob@laptop") ||
		lines[1] != strings.TrimSuffix(lines[0], " bob@laptop") || lines[2] != render.Mask || lines[3] != render.Mask {
		t.Errorf("%s", got)
	}
}
