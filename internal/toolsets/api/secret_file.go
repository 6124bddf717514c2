package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// checkSecretsDir refuses a request whose answer has a secret if there is no folder in which
// the secret can be kept.
func checkSecretsDir(c *tool.Call, req request) error {
	dir := c.Host().SecretsDir
	if dir == "" {
		return explain.Refusal("Set PVE_MCP_SECRETS_DIR to a folder that only this server's user can read.",
			"Nothing was sent: PVE answers %s with a secret, which must not pass through the model, and no folder is set in which it could be kept.", req)
	}
	f, err := newSecretFile(dir, "check-"+rand.Text())
	if err != nil {
		return badSecretsDir(dir, err)
	}
	f.discard()
	return nil
}

func badSecretsDir(dir string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return explain.Refusal("See to that folder, which PVE_MCP_SECRETS_DIR names.",
		"Nothing was sent: PVE would answer with a secret, and it cannot be kept in %s: %v.", render.Text(dir, 300), err)
}

// keepSecret sends a request whose answer has a secret, and moves the secret to a file of its
// own. The file is there before the request is sent.
func (in *changeState) keepSecret(c *tool.Call, field string, send func() (change.Job, error)) (change.Job, error) {
	dir := c.Host().SecretsDir
	file, err := newSecretFile(dir, in.Subject)
	if err != nil {
		return change.Job{}, badSecretsDir(dir, err)
	}
	job, err := send()
	if err != nil {
		file.discard()
		return job, err
	}
	secret := takeText(in.Data, field)
	switch {
	case secret == "":
		file.discard()
		job.Warning = "PVE has told no secret in its answer"
	default:
		if err := file.keep(secret); err != nil {
			job.Warning = fmt.Sprintf("the secret is lost, because it could not be written to %s (%v): have PVE make another one", file.path, err)
			break
		}
		in.SecretFile = file.path
	}
	return job, nil
}

// takeText takes a text out of an answer, "" if there is none.
func takeText(data any, field string) string {
	object, ok := data.(map[string]any)
	if !ok {
		return ""
	}
	first, rest, isInner := strings.Cut(field, ".")
	if isInner {
		return takeText(object[first], rest)
	}
	text, _ := object[field].(string)
	delete(object, field)
	return text
}

// secretFile is a new file for a secret, which only its owner can read.
type secretFile struct {
	dir  *files.Folder
	f    *os.File
	path string
}

// mostSecretFiles is how many files there may be for one subject.
const mostSecretFiles = 1000

// newSecretFile makes an empty file that is named for what it is about. It leaves every file as
// it is.
func newSecretFile(dir, about string) (*secretFile, error) {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("@!._-", r) || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return '-'
	}, about)
	folder, err := files.At(filepath.Join(dir, name)).Folder()
	if err != nil {
		return nil, err
	}
	for n := 1; n <= mostSecretFiles; n++ {
		free := name
		if n > 1 {
			free = fmt.Sprintf("%s-%d", name, n)
		}
		if folder.Has(free) {
			continue
		}
		f, err := folder.Open(free, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			folder.Close()
			return nil, err
		}
		return &secretFile{folder, f, filepath.Join(dir, free)}, nil
	}
	folder.Close()
	return nil, fmt.Errorf("it has %d files for %s", mostSecretFiles, name)
}

// keep writes the secret, so that it is on the disk.
func (s *secretFile) keep(secret string) error {
	defer s.dir.Close()
	_, err := io.WriteString(s.f, secret+"\n")
	if err := errors.Join(err, s.f.Sync(), s.f.Close()); err != nil {
		return err
	}
	s.dir.Sync()
	return nil
}

// discard removes the file, which has nothing in it.
func (s *secretFile) discard() {
	defer s.dir.Close()
	_ = s.f.Close()
	_ = s.dir.Remove(filepath.Base(s.path))
}
