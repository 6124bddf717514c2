package images_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/images"
)

func file(t *testing.T, text string) files.Name {
	t.Helper()
	name := filepath.Join(t.TempDir(), "images.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return files.At(name)
}

// Each image is found by its name, and by the name of its file, and by no other's.
func TestKnownImages(t *testing.T) {
	for _, i := range (images.Catalog{}).All() {
		if got, _ := (images.Catalog{}).For(images.WordsOf(i.Name)); got.URL != i.URL {
			t.Errorf("%q means %q", i.Name, got.Name)
		}
		if got, _ := (images.Catalog{}).Of(filepath.Base(i.URL)); got.URL != i.URL {
			t.Errorf("%s is of %q", i.URL, got.Name)
		}
	}
}

// A user's images come first, and take the place of those with the same name.
func TestOwnImages(t *testing.T) {
	c, err := images.Read(file(t, images.Example))
	if err != nil {
		t.Fatal(err)
	}
	if i, ok := c.For(images.WordsOf("company linux 3")); !ok || i.User != "ops" || !i.Agent {
		t.Errorf("%+v", i)
	}
	if i, ok := c.Of("company-3.qcow2"); !ok || i.User != "ops" {
		t.Errorf("%+v", i)
	}
	if len(c.All()) != len((images.Catalog{}).All())+1 {
		t.Errorf("%d images", len(c.All()))
	}
	c, err = images.Read(file(t, `[{"name": "Ubuntu 24.04", "words": ["ubuntu", "24.04", "noble"], "url": "http://mirror.lan/noble.img"}]`))
	if err != nil {
		t.Fatal(err)
	}
	if i, ok := c.For([]string{"noble"}); !ok || i.URL != "http://mirror.lan/noble.img" || len(c.All()) != len((images.Catalog{}).All()) {
		t.Errorf("%+v", i)
	}
}

// What is wrong with a file is said, with the image that it is about.
func TestWrongFiles(t *testing.T) {
	for _, tt := range []struct{ text, says string }{
		{`name: x`, "it is not JSON; it is a list such as ["},
		{`{"name":"x"}`, "it is no list"},
		{`[{"name":"A 1","url":"https://x.test/a.qcow2"},{"name":"B 1","ulr":"https://x.test/b.qcow2"}]`, `image 2: unknown field "ulr"`},
		{`[{"name":"A 1","name":"B 1","url":"https://x.test/a.qcow2"}]`, `the key "name" twice`},
		{`[{"name":"A 1","url":"https://x.test/a.qcow2"},{"name":"A 1","url":"https://x.test/b.qcow2"}]`, `image 2: the name "A 1" is there twice`},
		{`[{"name":"","url":"https://x.test/a.qcow2"}]`, "image 1: the name is"},
		{`[{"name":"A 1"}]`, `"A 1": url: give the https:// URL`},
		{`[{"name":"A 1","url":"https://bob:pw@x.test/a.qcow2"}]`, "without a password"},
		{`[{"name":"A 1","url":"https://x.test/a.iso"}]`, `it ends in "a.iso"`},
		{`[{"name":"A 1","url":"https://x.test/a.img","sums":"http://x.test/SUMS"}]`, "sums: give the https:// URL"},
		{`[{"name":"A 1","url":"https://x.test/a.img","user":"Bob Smith"}]`, "no login such as ubuntu"},
		{`[{"name":"A 1","url":"https://x.test/a.img","words":["Big"]}]`, "in small letters"},
	} {
		if _, err := images.Read(file(t, tt.text)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %s", tt.text, err, tt.says)
		}
	}
	if _, err := images.Read(files.At(filepath.Join(t.TempDir(), "none.json"))); err == nil {
		t.Error("a file that is not there is read")
	}
}
