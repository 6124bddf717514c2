package policy

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

// fileProgram is the program, in the language of sh, that reads, writes and lists in guests.
//
//go:embed files.sh
var fileProgram string

// FileAction is what the program for files does.
type FileAction string

// The actions, with what they take after the path and where it has to lead.
const (
	FileWhere FileAction = "where" // prints where the path leads, in base64
	FileRead  FileAction = "read"  // first byte from 1 on, length: facts, checksum, the bytes in base64
	FileSum   FileAction = "sum"   // facts and checksum of all of it
	FileList  FileAction = "list"  // a mark: the number of entries, a line that begins with the mark for each, in base64
	FileBegin FileAction = "begin" // a token: makes the temporary folder
	FilePut   FileAction = "put"   // token, offset; the input in base64
	FileDrop  FileAction = "drop"  // token: removes the temporary folder
	FileEnd   FileAction = "end"   // token, checksum, append or replace: facts and checksum of all of it
)

// fileHead is what the commands of the program begin with.
const fileHead = 4

// FileCommand is the command that does something with a file in a guest. real, if not "", is
// where the path has to lead: the command does nothing if it leads elsewhere.
func FileCommand(do FileAction, name, real string, more ...string) []string {
	return append([]string{"/bin/sh", "-c", fileProgram, "pve-mcp", string(do), name, real}, more...)
}

// fileOf returns what [FileCommand] has made a command of.
func fileOf(argv []string) (do FileAction, name, real string, ok bool) {
	if len(argv) < fileHead+3 || !slices.Equal(argv[:fileHead], FileCommand("", "", "")[:fileHead]) {
		return "", "", "", false
	}
	return FileAction(argv[fileHead]), argv[fileHead+1], argv[fileHead+2], true
}

// LimitsFiles reports whether only some files in guests may be used.
func (p Policy) LimitsFiles() bool { return len(p.ExecAllow) > 0 || len(p.FilesAllow) > 0 }

// RefuseFile returns why a file or folder in a guest must not be used, or "".
func (p Policy) RefuseFile(name string) string {
	switch {
	case !p.LimitsFiles():
		return ""
	case !strings.HasPrefix(name, "/") || path.Clean(name) != name || stepsUp(name):
		return "PVE_MCP_FILES_ALLOW limits files in guests to clean absolute paths"
	case !slices.ContainsFunc(p.FilesAllow, func(f FilePattern) bool { return f.allows(name) }):
		return fmt.Sprintf("%q is none of the paths that PVE_MCP_FILES_ALLOW names", name)
	}
	return ""
}

// refuseFileCommand returns why a command of [FileCommand] must not be run, or "".
func (p Policy) refuseFileCommand(do FileAction, name, real string) string {
	reason := p.RefuseFile(name)
	switch {
	case reason != "" || !p.LimitsFiles():
		return reason
	case real != "":
		return p.RefuseFile(real)
	case do == FileWhere:
		return ""
	}
	return "where the path leads is unknown"
}

// refuseAgentFile returns why a request must not read or write a file by the agent, or "": the
// agent follows links, so that the path does not say which file it is.
func (p Policy) refuseAgentFile(e row) string {
	if strings.Contains(e.path, "/agent/file-") && p.LimitsFiles() {
		return "PVE_MCP_EXEC_ALLOW or PVE_MCP_FILES_ALLOW limits files in guests, and where a path leads is not known to the agent's own calls"
	}
	return ""
}

// FilePattern is a pattern of paths in guests.
type FilePattern string

// allows reports whether a clean path matches.
func (f FilePattern) allows(name string) bool {
	if folder, all := strings.CutSuffix(string(f), "/**"); all {
		// The pattern of the folder has as many elements as the folder.
		elems, depth := strings.Split(name, "/"), strings.Count(folder, "/")+1
		if len(elems) < depth {
			return false
		}
		ok, err := path.Match(folder, strings.Join(elems[:depth], "/"))
		return ok && err == nil
	}
	ok, err := path.Match(string(f), name)
	return ok && err == nil
}

// ParseFiles reads patterns of paths in guests, separated by semicolons: absolute, each element
// a pattern as of [path.Match], and /** at the end for the folder and all below it.
func ParseFiles(s string) ([]FilePattern, error) {
	var out []FilePattern
	for part := range strings.SplitSeq(s, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		plain := strings.TrimSuffix(part, "/**")
		_, err := path.Match(plain, "")
		if err != nil || !strings.HasPrefix(part, "/") || strings.Contains(plain, "**") || plain != "" && path.Clean(plain) != plain || stepsUp(part) {
			return nil, fmt.Errorf("%q is not a pattern for a path; give one such as /etc/nginx/** or /var/log/*.log", part)
		}
		out = append(out, FilePattern(part))
	}
	if out == nil && s != "" {
		return nil, fmt.Errorf("%q has no path; give one such as /etc/nginx/** or /var/log/*.log", s)
	}
	return out, nil
}
