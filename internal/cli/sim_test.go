package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

func simulatorPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The page about the simulator names every flag, with its default.
func TestSimFlagsAreDocumented(t *testing.T) {
	page := simulatorPage(t)
	(&app{}).simCommand().Flags().VisitAll(func(f *pflag.Flag) {
		want := "`--" + f.Name
		if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" && f.Name != "speed" {
			want += " " + f.DefValue
		}
		if !strings.Contains(page, want) && !strings.Contains(page, " --"+f.Name+" "+f.DefValue) {
			t.Errorf("docs/simulator.md does not have %s", want)
		}
	})
}

// The rules that it shows can be read, and hold on the preset cluster.
func TestDocumentedRules(t *testing.T) {
	_, rest, _ := strings.Cut(simulatorPage(t), "\n```rules\n")
	rules, _, closed := strings.Cut(rest, "```\n")
	sim, err := pvesim.NewSim(pvesim.Cluster(), pvesim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(rules) {
		rule, err := pvesim.ParseFault(strings.TrimSpace(line))
		if err == nil {
			err = sim.Fault(rule)
		}
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if n < 5 || !closed {
		t.Errorf("%d rules", n)
	}
}

// The scenarios are listed, and a wrong name is refused with where to look.
func TestScenarioNames(t *testing.T) {
	var out strings.Builder
	if err := (&app{out: &out}).listScenarios(); err != nil {
		t.Fatal(err)
	}
	for _, s := range pvesim.Scenarios() {
		if !strings.Contains(out.String(), s.Name+"  ") {
			t.Errorf("%s is not listed", s.Name)
		}
		if _, err := (simulation{model: "cluster"}).start(pvesim.Options{}, nil, []pvesim.Scenario{s}); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []simulation{{speed: 1, model: "cluster", scenarios: []string{"slow"}}, {speed: 1, model: "lab", scenarios: []string{"slow-nfs"}}, {speed: 1, model: "x.json", scenarios: []string{"slow-nfs"}}} {
		if _, _, err := s.build(); err == nil || !strings.Contains(err.Error(), "--scenario") {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
