package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// simulation is what the flags of pve-mcp sim say.
type simulation struct {
	listen          string
	expose          bool
	allNodes        bool
	ca              string
	model, version  string
	nodes, vms, cts int
	seed            uint64
	speed           float64
	state           string
	faults          []string
	scenarios       []string
	token           string
}

// presets are the models that have a name.
var presets = map[string]func() pvesim.Model{"lab": pvesim.Lab, "cluster": pvesim.Cluster, "recorded": pvesim.Recorded, "recorded-2": pvesim.Recorded2}

// versions are what --pve may say for short.
var versions = map[string]string{"7": "7.4-3", "8": "8.4.21", "9": "9.2.0"}

// build brings the cluster to life, and returns what it begins with. A state file is
// written at once: what cannot be saved at the end is better known now.
func (s simulation) build() (*pvesim.Sim, pvesim.Model, error) {
	none := pvesim.Model{}
	if !(s.speed > 0) {
		return nil, none, errors.New("--speed: it is not above 0; for example --speed 10")
	}
	var rules []pvesim.Fault
	for _, text := range s.faults {
		rule, err := pvesim.ParseFault(text)
		if err != nil {
			return nil, none, fmt.Errorf("--fault: %w", err)
		}
		rules = append(rules, rule)
	}
	scenarios, err := scenariosNamed(s.scenarios)
	if err != nil {
		return nil, none, err
	}
	sim, err := s.start(pvesim.Options{Clock: pvesim.Scaled(s.speed)}, rules, scenarios)
	if err != nil {
		return nil, none, err
	}
	model, err := sim.Model()
	if err == nil && s.state != "" {
		err = files.Replace(s.state, sim.Save)
	}
	if err != nil {
		return nil, none, fmt.Errorf("--state: %w", err)
	}
	return sim, model, nil
}

// scenariosNamed are those that the user wants.
func scenariosNamed(names []string) (out []pvesim.Scenario, err error) {
	for _, name := range names {
		all := pvesim.Scenarios()
		i := slices.IndexFunc(all, func(s pvesim.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--scenario: there is no %q; --scenario list shows them", name)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// start loads the file of the state if there is one, otherwise the model.
func (s simulation) start(o pvesim.Options, rules []pvesim.Fault, scenarios []pvesim.Scenario) (*pvesim.Sim, error) {
	if s.state != "" {
		sim, err := load(s.state, o, rules)
		if err == nil && len(scenarios) > 0 {
			return nil, errors.New("--scenario is for a new cluster, and the file of --state has one")
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return sim, err
		}
	}
	model, named := presets[s.model]
	switch {
	case named:
		return s.bring(model(), o, rules, scenarios)
	case s.model == "generated":
		if min(s.nodes, s.vms, s.cts) < 0 {
			return nil, errors.New("--nodes, --vms, --cts: a number is negative")
		}
		return s.bring(pvesim.Sized(s.seed, s.nodes, s.vms, s.cts), o, rules, scenarios)
	case s.version != "":
		return nil, errors.New("--pve is not for models from files, which say it themselves")
	}
	if len(scenarios) > 0 {
		return nil, errors.New("--scenario is not for models from files")
	}
	sim, err := load(s.model, o, rules)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--model: %q is neither lab, cluster, recorded, recorded-2 or generated nor a file", s.model)
	}
	return sim, err
}

// bring brings a model to life, with the version and the scenarios that were asked for.
func (s simulation) bring(m pvesim.Model, o pvesim.Options, rules []pvesim.Fault, scenarios []pvesim.Scenario) (*pvesim.Sim, error) {
	m.Faults = append(m.Faults, rules...)
	for _, scenario := range scenarios {
		if err := scenario.Apply(&m); err != nil {
			return nil, fmt.Errorf("--scenario: %w", err)
		}
	}
	if s.version != "" {
		m.PVE = cmp.Or(versions[s.version], s.version)
		for i := range m.Nodes {
			m.Nodes[i].PVE = ""
		}
	}
	return pvesim.NewSim(m, o)
}

func load(file string, o pvesim.Options, rules []pvesim.Fault) (*pvesim.Sim, error) {
	f, err := files.At(file).Open(os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sim, err := pvesim.Load(f, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, rule := range rules {
		if err := sim.Fault(rule); err != nil {
			return nil, fmt.Errorf("--fault: %w", err)
		}
	}
	return sim, nil
}

// serve opens a listener for the first node, or for each.
func (s simulation) serve(sim *pvesim.Sim, m pvesim.Model) (all []*pvesim.Listener, err error) {
	host, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		return nil, err
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("--listen: %q is no port", port)
	}
	for i, node := range m.Nodes {
		if i > 0 && !s.allNodes {
			break
		}
		if first > 0 {
			port = strconv.Itoa(first + i)
		}
		l, err := s.serveNode(sim, node.Name, net.JoinHostPort(host, port))
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
	return all, nil
}

func (s simulation) serveNode(sim *pvesim.Sim, node, addr string) (*pvesim.Listener, error) {
	if !s.expose {
		l, err := sim.ListenNode(node, addr)
		if errors.Is(err, pvesim.ErrNotLoopback) {
			err = fmt.Errorf("--listen: %w; with --expose it serves everybody who reaches it", err)
		}
		return l, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return sim.Serve(node, listener)
}

// tokenOf is the token that is printed for a shell.
func (s simulation) tokenOf(m pvesim.Model) (pvesim.Token, error) {
	ids := []string{s.token}
	if s.token == "" {
		ids = []string{demo.TokenID, "root@pam!full"}
		for _, t := range m.Tokens {
			ids = append(ids, t.ID)
		}
	}
	for _, id := range ids {
		if t := m.Token(id); t.Secret != "" {
			return t, nil
		}
	}
	return pvesim.Token{}, fmt.Errorf("--token: the model has no token %s", cmp.Or(s.token, "at all"))
}
