package schemas

import (
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

func project(t *testing.T) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{"../../../deploy/compose.yaml"}, cli.WithConsistency(true), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCompose(t *testing.T) {
	p := project(t)
	subnet := netip.MustParsePrefix(p.Networks["default"].Ipam.Config[0].Subnet)
	taken := map[string]string{}
	for name, s := range p.Services {
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) > 0 || s.Privileged || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do too much", name)
		}
		if user, _, _ := strings.Cut(s.User, ":"); user == "" || user == "0" || strings.Trim(user, "0123456789") != "" {
			t.Errorf("%s runs as %q", name, s.User)
		}
		if s.MemLimit == 0 || s.PidsLimit == 0 {
			t.Errorf("%s has no bounds", name)
		}
		addr := s.Networks["default"].Ipv4Address
		if a, err := netip.ParseAddr(addr); err != nil || !subnet.Contains(a) || taken[addr] != "" {
			t.Errorf("%s has the address %q: %v %s", name, addr, err, taken[addr])
		}
		taken[addr] = name
		for _, v := range s.Volumes {
			if store := s.Environment["PVE_MCP_CONSENT_STORE"]; store != nil && v.Type == types.VolumeTypeVolume && v.Target == *store {
				continue // replicas write there which answers were used
			}
			if !v.ReadOnly || v.Type != types.VolumeTypeBind || bool(v.Bind.CreateHostPath) {
				t.Errorf("%s: %s", name, v.Target)
			}
		}
	}
}

// What compose.yaml says of the replicas is what nginx and the image know of them.
func TestComposeAgrees(t *testing.T) {
	p, nginx, image := project(t), string(read(t, "deploy/nginx.conf")), parseImage(t, "")
	var replicas []string
	for name, s := range p.Services {
		if name == "nginx" {
			continue
		}
		settings := map[string]string{"PVE_MCP_HTTP_LISTEN": image.env["PVE_MCP_HTTP_LISTEN"]}
		for k, v := range s.Environment {
			settings[k] = *v
		}
		cfg := load(t, settings)
		replicas = append(replicas, cfg.HTTP.Replica)
		at := fmt.Sprintf("server %s:%d", name, port(t, cfg.HTTP.Listen))
		if strings.Count(nginx, at+";") != 1 || strings.Count(nginx, at+" max_fails=0;") != 1 || strings.Count(nginx, at+" backup;") != 2 {
			t.Errorf("nginx does not know %s", at)
		}
		routed := regexp.MustCompile(`~\^` + cfg.HTTP.Replica + `\\\. +pve_mcp_` + cfg.HTTP.Replica + `;`)
		if !routed.MatchString(nginx) {
			t.Errorf("nginx does not route sessions of %s", cfg.HTTP.Replica)
		}
		for _, file := range []string{settings["PVE_TOKEN_SECRET_FILE"], settings["PVE_MCP_HTTP_TOKENS"]} {
			if s.Volumes[0].Target != path.Dir(file) || !slices.Contains([]string{"secret", "tokens.json"}, path.Base(file)) {
				t.Errorf("%s: %s is not in %s", name, file, s.Volumes[0].Target)
			}
		}
		if grace := time.Duration(*s.StopGracePeriod); grace <= cfg.HTTP.Drain+stopTime {
			t.Errorf("%s is killed after %v", name, grace)
		}
		if s.User != image.user || s.HealthCheck != nil || p.Services["nginx"].DependsOn[name].Condition != types.ServiceConditionHealthy {
			t.Errorf("%s: user %s, health check %v", name, s.User, s.HealthCheck)
		}
		if _, err := os.Stat(filepath.Join(s.Build.Context, "go.mod")); err != nil {
			t.Error(err)
		}
		if s.Build.Dockerfile != "deploy/Containerfile" {
			t.Errorf("%s is built from %s", name, s.Build.Dockerfile)
		}
	}
	slices.Sort(replicas)
	if diff := cmp.Diff([]string{"a", "b", "c"}, replicas); diff != "" {
		t.Errorf("replicas (-want +got):\n%s", diff)
	}
}

func TestComposeNginx(t *testing.T) {
	s, conf := project(t).Services["nginx"], string(read(t, "deploy/nginx.conf"))
	if _, err := os.Stat(s.Volumes[0].Source); err != nil || filepath.Base(s.Volumes[0].Source) != "nginx.conf" {
		t.Errorf("%v", err)
	}
	for _, want := range []string{
		fmt.Sprintf("listen %d ssl;", s.Ports[0].Target), "server_name mcp.example.org;",
		s.Volumes[1].Target + "/tls.crt;", s.Volumes[1].Target + "/tls.key;",
	} {
		if !strings.Contains(conf, want) {
			t.Errorf("nginx.conf does not have %q", want)
		}
	}
}
