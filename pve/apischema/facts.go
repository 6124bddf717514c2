package apischema

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
)

//go:generate go run ./gen

//go:embed facts-8.json.gz
var embedded8 []byte

//go:embed facts-9.json.gz
var embedded9 []byte

// The embedded facts never change, so they are parsed once and shared.
var (
	facts8 = sync.OnceValues(func() (*Facts, error) { return ReadFacts(bytes.NewReader(embedded8)) })
	facts9 = sync.OnceValues(func() (*Facts, error) { return ReadFacts(bytes.NewReader(embedded9)) })
)

// Facts is the file form of an API description.
type Facts struct {
	Major     int         `json:"major"`
	Endpoints []*Endpoint `json:"endpoints"`
	// Formats are the named formats; nil means that it is code in PVE.
	Formats map[string]*Format `json:"formats"`
	// Highest is the highest index of each indexed parameter: net 31 means
	// net0 to net31.
	Highest map[string]int `json:"highest"`

	grow     sync.Once
	root     *node    // set by grow
	compiled sync.Map // patterns that were used: a string to a *regexp.Regexp
}

// ReadFacts reads what [Facts.Write] has written.
func ReadFacts(r io.Reader) (*Facts, error) {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("API facts: %w", err)
	}
	var f Facts
	if err := json.NewDecoder(zr).Decode(&f); err != nil {
		return nil, fmt.Errorf("API facts: %w", err)
	}
	return &f, nil
}

// tree returns the endpoints as a tree of paths.
func (f *Facts) tree() *node {
	f.grow.Do(func() {
		f.root = newNode()
		for _, ep := range f.Endpoints {
			f.root.add(ep)
		}
	})
	return f.root
}

// Write writes f compressed. The same facts give the same bytes.
func (f *Facts) Write(w io.Writer) error {
	zw, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(zw).Encode(f); err != nil {
		return err
	}
	return zw.Close()
}

// API is the description of one major version. It is safe for concurrent use.
type API struct {
	facts *Facts

	mu        sync.Mutex
	unchecked map[string]int // guarded by mu
}

// New returns the API that facts describe.
func New(facts *Facts) *API {
	return &API{facts: facts, unchecked: map[string]int{}}
}

// Load returns the embedded description of a major version of PVE: 8 or 9.
func Load(major int) (*API, error) {
	load := facts9
	switch major {
	case 8:
		load = facts8
	case 9:
	default:
		return nil, fmt.Errorf("no API description of PVE %d: there are 8 and 9", major)
	}
	facts, err := load()
	if err != nil {
		return nil, err
	}
	return New(facts), nil
}

// Endpoints lists all endpoints, sorted by path, then method. The caller must
// not change them.
func (a *API) Endpoints() []*Endpoint { return a.facts.Endpoints }

// Endpoint returns the endpoint of a path template, such as
// /nodes/{node}/qemu, or nil.
func (a *API) Endpoint(method, template string) *Endpoint {
	n := a.facts.tree()
	for _, part := range split(template) {
		if isPlaceholder(part) {
			n = n.any
		} else {
			n = n.named[part]
		}
		if n == nil {
			return nil
		}
	}
	return n.methods[method]
}

// Find returns the endpoint that serves a decoded path and the parameters that
// the path carries, or false if PVE would say that the method is not
// implemented.
func (a *API) Find(method, path string) (*Endpoint, Values, bool) {
	n, values := a.facts.tree(), []string{}
	parts := split(path)
	for i, part := range parts {
		if next := n.named[part]; next != nil {
			n = next
			continue
		}
		if n.any == nil || strings.ContainsFunc(part, isSpace) {
			return nil, nil, false
		}
		n = n.any
		if n.greedy {
			values = append(values, strings.Join(parts[i:], "/"))
			break
		}
		values = append(values, part)
	}
	ep := n.methods[method]
	if ep == nil {
		return nil, nil, false
	}
	params := Values{}
	for _, part := range split(ep.Path) {
		if isPlaceholder(part) {
			params[strings.Trim(part, "{}")] = values[0]
			values = values[1:]
		}
	}
	return ep, params, true
}

// Unchecked says how often a value was accepted unchecked because its format,
// the key, is code in PVE and not in this package's table.
func (a *API) Unchecked() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.unchecked)
}

// node is one level of the tree of paths.
type node struct {
	named   map[string]*node
	any     *node // the placeholder
	greedy  bool  // a placeholder that takes the rest of the path
	methods map[string]*Endpoint
}

func newNode() *node {
	return &node{named: map[string]*node{}, methods: map[string]*Endpoint{}}
}

func (n *node) add(ep *Endpoint) {
	for _, part := range split(ep.Path) {
		if !isPlaceholder(part) {
			if n.named[part] == nil {
				n.named[part] = newNode()
			}
			n = n.named[part]
			continue
		}
		if n.any == nil {
			n.any = newNode()
		}
		n = n.any
		// A volume id and a network contain slashes; PVE joins what follows (its
		// schema's fragmentDelimiter, which the API description does not carry).
		n.greedy = n.greedy || part == "{volume}" || part == "{cidr}"
	}
	n.methods[ep.Method] = ep
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func isPlaceholder(part string) bool { return strings.HasPrefix(part, "{") }

func isSpace(r rune) bool { return r == ' ' || (r >= '\t' && r <= '\r') }
