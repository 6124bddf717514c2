package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/joho/godotenv"

	"github.com/pve-mcp/pve-mcp/internal/files"
)

// dotEnv is the name of the file.
const dotEnv = ".env"

// readDotEnv reads the PVE_* lines of a file .env, and sets nothing. It may be
// anything that somebody has put there: a file that is not about us is left alone,
// and so is what is not a file in this folder, with a warning.
func readDotEnv(dir string) (values map[string]string, warnings []string, err error) {
	if dir == "" {
		return nil, nil, nil
	}
	info, err := os.Lstat(filepath.Join(dir, dotEnv))
	if err != nil || info.IsDir() { // such as a Python environment
		return nil, nil, nil
	}
	data, err := files.Below(dir, dotEnv).Read()
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil, fmt.Errorf(".env: %w", err)
	}
	if err != nil {
		return nil, []string{fmt.Sprintf(".env: ignored, because it is not a file in this folder that can be read: %v", err)}, nil
	}
	values, err = godotenv.Parse(bytes.NewReader(data))
	switch {
	case err != nil && !bytes.Contains(data, []byte("PVE_")):
		return nil, nil, nil
	case err != nil:
		return nil, nil, errors.New(".env: it cannot be read as lines KEY=value") // the error itself would show a line
	}
	for k, v := range values {
		values[k] = strings.TrimSpace(v)
		if !strings.HasPrefix(k, "PVE_") || values[k] == "" {
			delete(values, k)
		}
	}
	return values, nil, nil
}

// fileName reads the name of a file that a setting has. One that comes from .env lies below
// its folder, which has to be there: a .env must not make this program read, and send, a
// file elsewhere, nor write one.
func fileName(dir, v string, from Origin) (files.Name, error) {
	if maybeSecret(v) {
		return files.Name{}, errors.New("the value looks like a secret, not like the name of a file")
	}
	if from != FromDotEnv {
		return files.At(v), nil
	}
	name := files.Below(dir, v)
	if err := name.Check(); err != nil {
		return files.Name{}, fmt.Errorf("%w; what .env names lies below its folder", err)
	}
	return name, nil
}
