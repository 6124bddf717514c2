package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/joho/godotenv"
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
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, nil // nothing can be read there
	}
	defer root.Close()
	info, err := root.Stat(dotEnv)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && info.IsDir(): // such as a Python environment
		return nil, nil, nil
	case err != nil || !info.Mode().IsRegular():
		return nil, []string{".env: ignored, because it is not a file in this folder"}, nil
	}
	data, err := readFile(root.Open, dotEnv)
	if err != nil {
		return nil, nil, fmt.Errorf(".env: %w", err)
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

// opener opens a file that a setting names.
type opener func(name string) (*os.File, error)

func openAnywhere(name string) (*os.File, error) { return os.Open(name) }

// openBelow opens files below a folder only: a file .env must not make this program
// read, and send, a file elsewhere.
func openBelow(dir string) opener {
	return func(name string) (*os.File, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		return root.Open(name)
	}
}

var errSecretName = errors.New("the value looks like a secret, not like the name of a file")

// below returns the path of a file to be written that a file .env in dir names. Its
// folder must be there, and lie below dir: a .env must not make this program write
// elsewhere.
func below(dir, name string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	folder, err := root.OpenRoot(filepath.Dir(name))
	if err != nil {
		return "", err
	}
	folder.Close()
	return filepath.Join(dir, name), nil
}

func readFile(open opener, name string) ([]byte, error) {
	if maybeSecret(name) {
		return nil, errSecretName
	}
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}
