package ha

import (
	"maps"
	"slices"
	"strconv"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
)

// flagArgument is the argument of a switch, and whether it says the opposite.
type flagArgument struct {
	name     string
	opposite bool
}

// flagArguments are those of the switches.
var flagArguments = map[string]flagArgument{
	"failback": {"failback", false}, "nofailback": {"failback", true}, "strict": {"strict", false}, "restricted": {"strict", false}, "disable": {"enabled", true},
}

// mostUndo bounds the call that takes a change back.
const mostUndo = 4000

// backTo are the arguments with which a call gives what is changed the settings that it had, nil
// if they are too long to be answered.
func (p *planner) backTo(change, idArgument, id string) map[string]any {
	out := map[string]any{"change": change, idArgument: id}
	for key, value := range p.Before {
		if now, has := p.After[key]; !has || now != value {
			giveBack(out, key, value)
		}
	}
	var unset []string
	for _, key := range slices.Sorted(maps.Keys(p.After)) {
		if _, had := p.Before[key]; had {
			continue
		}
		if flag, is := flagArguments[key]; is {
			out[flag.name] = switches[key] != flag.opposite
		} else {
			unset = append(unset, key)
		}
	}
	if unset != nil {
		out["unset"] = unset
	}
	if len(exactjson.Encode(out)) > mostUndo {
		return nil
	}
	return out
}

// giveBack adds the argument that sets a key to a value.
func giveBack(out map[string]any, key, value string) {
	flag, isFlag := flagArguments[key]
	n, err := strconv.Atoi(value)
	switch {
	case key == "type": // follows from the others
	case isFlag:
		out[flag.name] = (value != "0") != flag.opposite
	case key == "nodes", key == "resources":
		out[key] = section{key: value}.list(key)
	case key == "target":
		out["node"] = value
	case (key == "max_restart" || key == "max_relocate") && err == nil:
		out[key] = n
	default:
		out[key] = value
	}
}
