package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// world is a cluster that a script wants, and how it is served.
type world struct {
	ts    *testscript.TestScript
	model pvesim.Model
	token string
	speed float64
	skew  time.Duration
	serve string // "", all-nodes, expired, plain or answers
	// answers are what some paths answer in the place of PVE, for what the simulator has
	// none of.
	answers map[string]string
}

// words are what a script can say of its world: WORD or WORD=VALUE.
var words = map[string]func(w *world, value string){
	"lab":       func(w *world, _ string) { w.model = pvesim.Lab() },
	"pve":       func(w *world, v string) { w.model.PVE = v },
	"token":     func(w *world, v string) { w.token = v },
	"speed":     func(w *world, v string) { w.speed = float64(number(w.ts, v)) },
	"skew":      func(w *world, v string) { w.skew = duration(w.ts, v) },
	"all-nodes": func(w *world, _ string) { w.serve = "all-nodes" },
	"expired":   func(w *world, _ string) { w.serve = "expired" },
	"plain":     func(w *world, _ string) { w.serve = "plain" },
	"timed-out": func(w *world, _ string) {
		for i := range w.model.Tokens {
			w.model.Tokens[i].Expire = 1
		}
	},
	"disabled": func(w *world, _ string) {
		for i := range w.model.Users {
			w.model.Users[i].Disabled = true
		}
	},
	// role=NAME:PRIVILEGE,… and grant=WHO:PATH:ROLE
	"role": func(w *world, v string) {
		name, privs, _ := strings.Cut(v, ":")
		if w.model.Roles == nil {
			w.model.Roles = map[string][]string{}
		}
		w.model.Roles[name] = strings.Split(privs, ",")
	},
	"grant": func(w *world, v string) {
		parts := strings.Split(v, ":")
		w.model.ACL = append(w.model.ACL, pvesim.ACL{Who: parts[0], Path: parts[1], Role: parts[2]})
	},
	"revoke": func(w *world, v string) {
		w.model.ACL = slices.DeleteFunc(w.model.ACL, func(a pvesim.ACL) bool { return a.Who == v })
	},
	"offline": func(w *world, v string) {
		for i := range w.model.Nodes {
			w.model.Nodes[i].Offline = w.model.Nodes[i].Offline || w.model.Nodes[i].Name == v
		}
	},
	// set=VMID:KEY=VALUE
	"set": func(w *world, v string) {
		id, pair, _ := strings.Cut(v, ":")
		key, value, _ := strings.Cut(pair, "=")
		for i := range w.model.Guests {
			if g := &w.model.Guests[i]; g.VMID == number(w.ts, id) {
				g.Config[key] = value
			}
		}
	},
	// ha=VMID:STATE
	"ha": func(w *world, v string) {
		id, state, _ := strings.Cut(v, ":")
		for i := range w.model.Guests {
			if g := &w.model.Guests[i]; g.VMID == number(w.ts, id) {
				g.HA = state
			}
		}
	},
	// answer=PATH=DATA
	"answer": func(w *world, v string) {
		path, data, _ := strings.Cut(v, "=")
		w.serve, w.answers = "answers", map[string]string{path: data}
	},
	"fault": func(w *world, v string) {
		f, err := pvesim.ParseFault(v)
		w.ts.Check(err)
		w.model.Faults = append(w.model.Faults, f)
	},
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

func duration(ts *testscript.TestScript, text string) time.Duration {
	d, err := time.ParseDuration(text)
	ts.Check(err)
	return d
}

// ahead is a clock that is ahead of another one.
type ahead struct {
	pvesim.Clock
	by time.Duration
}

func (a ahead) Now() time.Time { return a.Clock.Now().Add(a.by) }

// inWorld serves a cluster as its arguments say, and sets the variables for it.
func inWorld(ts *testscript.TestScript, neg bool, args []string) {
	w := &world{ts: ts, model: pvesim.Cluster(), token: "ops@pve!mcp", speed: 1}
	for _, arg := range args {
		word, value, _ := strings.Cut(arg, "=")
		if words[word] == nil || neg {
			ts.Fatalf("usage: world [WORD[=VALUE]...]; there is no %q", word)
		}
		words[word](w, value)
	}
	sim, err := pvesim.NewSim(w.model, pvesim.Options{Clock: ahead{pvesim.Scaled(w.speed), w.skew}})
	ts.Check(err)
	urls, prints := w.listen(sim)
	ts.Setenv("PVE_HOST", strings.Join(urls, ","))
	ts.Setenv("PVE_FINGERPRINT", strings.Join(prints, ","))
	ts.Setenv("PVE_TOKEN_ID", w.token)
	ts.Setenv("PVE_TOKEN_SECRET", cmp.Or(w.model.Token(w.token).Secret, w.model.Tokens[0].Secret))
}

func (w *world) listen(sim *pvesim.Sim) (urls, prints []string) {
	switch w.serve {
	case "expired":
		return []string{"https://" + w.http(sim, &tls.Config{Certificates: []tls.Certificate{expired(w.ts)}})}, nil
	case "plain":
		return []string{"https://" + w.http(sim, nil)}, nil
	case "answers":
		at, err := url.Parse(sim.URL())
		w.ts.Check(err)
		proxy := httputil.NewSingleHostReverseProxy(at)
		proxy.Transport = sim.Transport()
		return []string{"http://" + w.http(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			for path, data := range w.answers {
				if strings.HasSuffix(req.URL.Path, path) {
					_, _ = io.WriteString(rw, `{"data":`+data+`}`)
					return
				}
			}
			proxy.ServeHTTP(rw, req)
		}), nil)}, nil
	}
	for i, node := range w.model.Nodes {
		if i > 0 && w.serve != "all-nodes" {
			break
		}
		l, err := sim.ListenNode(node.Name, "127.0.0.1:0")
		w.ts.Check(err)
		w.ts.Defer(func() { _ = l.Close() })
		urls, prints = append(urls, l.URL()), append(prints, l.Fingerprint())
	}
	return urls, prints
}

// http serves something on a port of this machine.
func (w *world) http(h http.Handler, over *tls.Config) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.ts.Check(err)
	addr = l.Addr().String()
	if over != nil {
		l = tls.NewListener(l, over)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(l) }()
	w.ts.Defer(func() { _ = server.Close() })
	return addr
}

// expired makes a certificate that was valid until 2020.
func expired(ts *testscript.TestScript) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pve1.sim"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	ts.Check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
