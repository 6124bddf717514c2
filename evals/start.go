package evals

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Start describes the simulated cluster of a task.
type Start struct {
	Preset string `json:"preset"` // lab (one node), cluster (three), healthy (three), thirty, thirty-healthy
	PVE    string `json:"pve"`    // version of all nodes; "" means the preset's
	// Change is a part of a pvesim.Model. Nodes, storages and guests change the one of the same
	// name or id, or are new; other lists are appended to. Durations are texts such as 26h or 30d,
	// and sizes may be such as 20GiB.
	Change map[string]any `json:"change"`
	Faults []string       `json:"faults"` // rules, as for pve-mcp sim --fault
	Role   string         `json:"role"`   // of the agent's token on /; "" means Administrator
	// Settings are those of pve-mcp beside those of [Start.Environ].
	Settings map[string]string `json:"settings"`
}

// The tokens of the agent, and of the check.
const (
	agentUser, AgentToken = "agent@pve", "agent@pve!mcp"
	judgeUser, judgeToken = "judge@pve", "judge@pve!check"
)

var presets = map[string]func() pvesim.Model{
	"lab":            pvesim.Lab,
	"cluster":        pvesim.Cluster,
	"thirty":         func() pvesim.Model { return pvesim.Sized(7, 30, 240, 120) },
	"healthy":        func() pvesim.Model { return pvesim.Healthy(7, 3, 12, 6) },
	"thirty-healthy": func() pvesim.Model { return pvesim.Healthy(7, 30, 240, 120) },
}

// Model returns the cluster before it lives.
func (s Start) Model() (pvesim.Model, error) {
	preset, ok := presets[s.Preset]
	if !ok {
		return pvesim.Model{}, fmt.Errorf("there is no preset %q", s.Preset)
	}
	m := cluster{preset()}
	if s.PVE != "" {
		m.PVE = s.PVE
	}
	role := s.Role
	if role == "" {
		role = "Administrator"
	}
	m.user(agentUser, AgentToken, "00000000-0000-4000-8000-0000000000a1", map[string]string{"/": role})
	m.user(judgeUser, judgeToken, "00000000-0000-4000-8000-0000000000a2", map[string]string{"/": "PVEAuditor", "/vms": "PVEVMAdmin", "/storage": "PVEDatastoreAdmin"})
	if err := change(&m.Model, s.Change); err != nil {
		return m.Model, err
	}
	for _, text := range s.Faults {
		rule, err := pvesim.ParseFault(text)
		if err != nil {
			return m.Model, err
		}
		m.Faults = append(m.Faults, rule)
	}
	return m.Model, nil
}

// cluster is a model in the making.
type cluster struct{ pvesim.Model }

// user adds a user with a token and roles by path, which the token has as well.
func (m *cluster) user(id, token, secret string, roles map[string]string) {
	m.Users = append(m.Users, pvesim.User{ID: id})
	const someDay = 4_000_000_000
	m.Tokens = append(m.Tokens, pvesim.Token{ID: token, Secret: secret, PrivSep: true, Expire: someDay})
	for path, role := range roles {
		for _, who := range []string{id, token} {
			m.ACL = append(m.ACL, pvesim.ACL{Path: path, Who: who, Role: role})
		}
	}
}

// Environ are the settings of pve-mcp: all toolsets and commands in guests are on.
func (s Start) Environ() map[string]string {
	out := map[string]string{"PVE_MCP_TOOLSETS": "all", "PVE_MCP_ENABLE_EXEC": "true"}
	for key, value := range s.Settings {
		out[key] = value
	}
	return out
}

// rowsOf are the lists of a model whose rows have a name, with the field that it is in.
var rowsOf = map[string]string{"Guests": "VMID", "Nodes": "Name", "Storages": "ID"}

// change changes a model.
func change(m *pvesim.Model, by map[string]any) error {
	for field, value := range by {
		f, ok := reflect.TypeFor[pvesim.Model]().FieldByName(field)
		if !ok {
			return fmt.Errorf("change: a model has no %s", field)
		}
		plain, err := asJSON(value, f.Type)
		if err != nil {
			return fmt.Errorf("change: %s: %w", field, err)
		}
		to := reflect.ValueOf(m).Elem().FieldByName(field)
		rows, isList := plain.([]any)
		if !isList {
			if err := decode(plain, to.Addr().Interface()); err != nil {
				return fmt.Errorf("change: %s: %w", field, err)
			}
			continue
		}
		for _, row := range rows {
			at := place(to, rowsOf[field], row)
			if at < 0 {
				to.Set(reflect.Append(to, reflect.Zero(f.Type.Elem())))
				at = to.Len() - 1
			}
			if err := decode(row, to.Index(at).Addr().Interface()); err != nil {
				return fmt.Errorf("change: %s: %w", field, err)
			}
		}
	}
	return nil
}

// place is where the row with the name of another one is, -1 if there is none.
func place(rows reflect.Value, name string, row any) int {
	fields, _ := row.(map[string]any)
	for i := range rows.Len() {
		if name != "" && fmt.Sprint(rows.Index(i).FieldByName(name).Interface()) == fmt.Sprint(fields[name]) {
			return i
		}
	}
	return -1
}

func decode(plain, into any) error {
	text, err := json.Marshal(plain)
	if err != nil {
		return err
	}
	return strictly(text, into)
}

// asJSON replaces durations and sizes by the numbers that the type's JSON has.
func asJSON(v any, t reflect.Type) (any, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case string:
		switch {
		case t == reflect.TypeFor[time.Duration]():
			return duration(v)
		case t.Kind() == reflect.Int64 || t.Kind() == reflect.Float64:
			return bytesOf(v)
		}
	case []any:
		for i := range v {
			var err error
			if v[i], err = asJSON(v[i], t.Elem()); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key, value := range v {
			of := t
			if t.Kind() == reflect.Map {
				of = t.Elem()
			} else if f, ok := t.FieldByName(key); ok {
				of = f.Type
			}
			var err error
			if v[key], err = asJSON(value, of); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return v, nil
}

// duration reads 90m, or 30d.
func duration(text string) (int64, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		return int64(n * 24 * float64(time.Hour)), err
	}
	d, err := time.ParseDuration(text)
	return int64(d), err
}

// bytesOf reads 20GiB.
func bytesOf(text string) (int64, error) {
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseInt(number, 10, 64)
			return n << (10 * (i + 1)), err
		}
	}
	return 0, fmt.Errorf("%q is no size, such as 20GiB", text)
}
