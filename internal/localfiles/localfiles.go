// Package localfiles has the folder of this machine in which tools save files, and from which
// they read what goes into guests, so that a large file need not pass through the model.
package localfiles

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// MaxSize is how large a file may be that is saved, in bytes.
const MaxSize = 16 << 30

// Folder is the folder that PVE_MCP_FILES names, "" if it is not set. Nothing outside of it is
// read or written, whatever a path or a link says.
type Folder string

// In is the folder of a call.
func In(c *tool.Call) Folder { return Folder(c.Host().FilesDir) }

// Saved is a file that was saved.
type Saved struct {
	Path   string // whole
	Size   int64
	SHA256 string // hex, of what was written
}

// Check says whether a file can be saved at a path, before anything is asked of PVE.
func (d Folder) Check(path string, overwrite bool) error {
	name, err := d.name(path)
	if err != nil {
		return err
	}
	f, err := name.Open(os.O_RDONLY)
	switch {
	case err == nil:
		_ = f.Close()
		if !overwrite {
			return d.explain(path, fs.ErrExist)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		_, err = os.Stat(string(d))
	}
	return d.explain(path, err)
}

// Save writes a file at a path below the folder: under a temporary name first, so that there is
// the whole file or none, and for its owner alone. Folders that are missing are made. A file
// that is there is replaced only with overwrite.
func (d Folder) Save(path string, from io.Reader, overwrite bool) (Saved, error) {
	if err := d.Check(path, overwrite); err != nil {
		return Saved{}, err
	}
	name, err := d.name(path)
	if err != nil {
		return Saved{}, err
	}
	saved, sum := Saved{Path: name.String()}, sha256.New()
	var broken error // of the source
	write := func(w io.Writer) error {
		source := &noted{r: io.LimitReader(from, MaxSize+1)}
		saved.Size, err = io.Copy(io.MultiWriter(w, sum), source)
		broken = source.err
		if err == nil && saved.Size > MaxSize {
			return errTooLarge
		}
		return err
	}
	if overwrite {
		err = name.ReplacePrivate(write)
	} else {
		err = name.CreatePrivate(write)
	}
	if broken != nil {
		return Saved{}, broken
	}
	if err != nil {
		return Saved{}, d.explain(path, err)
	}
	saved.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return saved, nil
}

// Open opens a file below the folder to be read. It is a regular file.
func (d Folder) Open(path string) (*os.File, error) {
	name, err := d.name(path)
	if err != nil {
		return nil, err
	}
	f, err := name.Open(os.O_RDONLY)
	if err != nil {
		return nil, d.explain(path, err)
	}
	return f, nil
}

// Whole is the whole path of a file below the folder, for answers.
func (d Folder) Whole(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(string(d), path)
}

var errTooLarge = fmt.Errorf("it has more than %s, the most that is saved", render.Bytes(MaxSize))

// name is the file at a path, relative to the folder or below it.
func (d Folder) name(path string) (files.Name, error) {
	if d == "" {
		return files.Name{}, explain.Refusal("Set PVE_MCP_FILES to a folder of this machine, such as PVE_MCP_FILES=/var/lib/pve-mcp/files, and start pve-mcp anew (pve-mcp http does not take it); or leave local_path out.",
			"PVE_MCP_FILES is not set, so local_path is off. Nothing was done.")
	}
	if filepath.IsAbs(path) {
		rel, err := filepath.Rel(string(d), path)
		if err != nil {
			return files.Name{}, d.outside(path)
		}
		path = rel
	}
	if strings.HasSuffix(path, "/") || filepath.Base(path) == "." || strings.ContainsRune(path, 0) {
		return files.Name{}, tool.BadArgument("local_path", "names no file: give one such as guest-100/hosts, which is below "+d.shown())
	}
	if !filepath.IsLocal(path) {
		return files.Name{}, d.outside(path)
	}
	return files.Below(string(d), filepath.Clean(path)), nil
}

func (d Folder) shown() string { return render.Text(string(d), 300) + " (PVE_MCP_FILES)" }

func (d Folder) outside(path string) error {
	return tool.BadArgument("local_path", fmt.Sprintf("is %q, which is not below %s: give one such as guest-100/hosts", render.Text(path, 200), d.shown()))
}

// explain says what is wrong with a path.
func (d Folder) explain(path string, err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		if _, missing := os.Stat(string(d)); missing != nil {
			return explain.Refusal("Make that folder, or let PVE_MCP_FILES name another.", "The folder %s cannot be used: %v.", d.shown(), named.Err)
		}
	}
	shown := render.Text(d.Whole(path), 300)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return explain.Refusal("Give another local_path, or overwrite: true.", "There is a file %s already. Nothing was written.", shown)
	case errors.Is(err, fs.ErrNotExist):
		return explain.Refusal("Give the path of a file that is there.", "There is no file %s.", shown)
	case errors.Is(err, syscall.EISDIR):
		return tool.BadArgument("local_path", fmt.Sprintf("is the folder %s: name a file in it", shown))
	case named != nil && strings.Contains(named.Err.Error(), "escapes"):
		return explain.Refusal("Give a path that no link leads elsewhere.", "A link leads from %s out of %s. Nothing was read or written.", shown, d.shown())
	case named != nil:
		err = named.Err
	}
	return explain.Refusal("See to it, or give another local_path.", "%s cannot be used: %v. Nothing was saved.", shown, err)
}

// noted keeps the error of a reader.
type noted struct {
	r   io.Reader
	err error
}

func (n *noted) Read(b []byte) (int, error) {
	count, err := n.r.Read(b)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return count, err
}
