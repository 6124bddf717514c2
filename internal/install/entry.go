package install

import (
	"fmt"
	"path"
	"strings"
)

// member is a named value of an entry; nil is for one that is not to be there.
type member struct {
	name  string
	value any
}

// entry is how the client's file says a server. A nil Env leaves that of a file alone.
func (c Client) entry(s Server) []member {
	if s.URL != "" {
		return c.remoteEntry(s)
	}
	var out []member
	if c.typed {
		out = append(out, member{"type", "stdio"})
	}
	if c.custom {
		out = append(out, member{"source", "custom"})
	}
	args := s.Args
	if args == nil {
		args = []string{}
	}
	out = append(out, member{"command", s.Command}, member{"args", args})
	if s.Env != nil {
		out = append(out, member{"env", s.Env})
	}
	return out
}

func (c Client) remoteEntry(s Server) []member {
	var out []member
	if c.remote.typed {
		out = append(out, member{"type", "http"})
	}
	out = append(out, member{"url", s.URL})
	if c.remote.tokenEnv != "" {
		return append(out, member{c.remote.tokenEnv, orNothing(s.TokenEnv != "", s.TokenEnv)})
	}
	return append(out, member{"headers", orNothing(len(s.Headers) > 0, s.Headers)})
}

func orNothing(there bool, v any) any {
	if there {
		return v
	}
	return nil
}

// notOurs says what an entry is that is neither this program nor, if a URL is given, the
// server there. An entry does not tell what answers at its URL, so that its user has to say
// it.
func (c Client) notOurs(entry map[string]any, url string) string {
	at, remote := entry["url"].(string)
	switch {
	case remote && at == url:
		return ""
	case remote && strings.ContainsAny(at, "@?#"): // where others have secrets
		return "that is not pve-mcp"
	case remote:
		return fmt.Sprintf("at %s; if that is pve-mcp, take it out with pve-mcp uninstall %s --url %s", at, c.ID, at)
	case !startsThisProgram(entry):
		return "that is not pve-mcp"
	case url != "":
		return fmt.Sprintf("that starts pve-mcp itself; take it out with pve-mcp uninstall %s", c.ID)
	}
	return ""
}

// startsThisProgram reports whether an entry starts this program.
func startsThisProgram(entry map[string]any) bool {
	command, _ := entry["command"].(string)
	base := path.Base(strings.ReplaceAll(command, `\`, "/"))
	return strings.HasPrefix(strings.ToLower(base), "pve-mcp") // such as pve-mcp.exe
}

// serverOf is the server that an entry says.
func (c Client) serverOf(entry map[string]any) Server {
	var s Server
	s.Command, _ = entry["command"].(string)
	s.URL, _ = entry["url"].(string)
	s.TokenEnv, _ = entry[c.remote.tokenEnv].(string)
	list, _ := entry["args"].([]any)
	for _, v := range list {
		text, _ := v.(string)
		s.Args = append(s.Args, text)
	}
	s.Env, s.Headers = texts(entry["env"]), texts(entry["headers"])
	return s
}

// texts are the texts of an object, nil for none.
func texts(v any) map[string]string {
	all, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	out := map[string]string{}
	for key, v := range all {
		out[key], _ = v.(string)
	}
	return out
}

// plain is a value as it is read from a file.
func plain(v any) any {
	switch v := v.(type) {
	case []string:
		out := make([]any, len(v))
		for i, text := range v {
			out[i] = text
		}
		return out
	case map[string]string:
		out := map[string]any{}
		for key, text := range v {
			out[key] = text
		}
		return out
	}
	return v
}
