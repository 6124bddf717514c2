package tool

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/images"
	"github.com/pve-mcp/pve-mcp/internal/once"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/seal"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Host is what the calls of tools need of the process around them.
type Host struct {
	// Cluster names the cluster for a human.
	Cluster string
	// Client returns the client for a call.
	Client func(ctx context.Context) (*pve.Client, error)
	Policy policy.Policy
	// Guard enforces the policy below the client.
	Guard *policy.Guard
	// Seal has the keys that seal what a client hands back. If it has none, Secret is the
	// key.
	Seal    seal.Keys
	Secret  proxmox.Secret
	Audit   *audit.Log
	Explain explain.Explainer
	// Stays says that the process goes on after its calls, so that it takes the steps that
	// are left of a change whose call has ended.
	Stays bool
	// Wait is how long a change waits for its task unless the call says.
	Wait time.Duration
	// AnswerBytes is how long the answer of a tool that reads is at most; 0 is for the
	// usual.
	AnswerBytes int
	// Parallel is how many guests a change of many works on at a time at most; 0 is for the
	// usual.
	Parallel int
	// SecretsDir is the folder for secrets that PVE makes, "" for none.
	SecretsDir string
	// FilesDir is the folder in which tools save files, and read them, "" for none. Only who
	// owns this machine may have one: a host with another token has none.
	FilesDir string
	// OwnMACs are the MAC addresses of the machine on which this process runs; nil knows none.
	OwnMACs func() []string
	// Images are the cloud images that are known by name.
	Images images.Catalog
	// Recent and Ignored are shared by all calls of the process; nil remembers nothing.
	Recent  *cluster.RecentChanges
	Ignored *IgnoredArguments
	// Kept is what all calls of the process share of what does not change; nil keeps nothing.
	Kept *Kept
	// Used are the answers of humans that were used; with nil none counts.
	Used *once.Ledger
	// Named finds the tool that answers for a change that was begun.
	Named func(name string) (Tool, bool)
	// Off says why a tool is not offered, "" if it is; nil is for a host that offers all. It is
	// [LeftOut] for one that was left out by its name.
	Off func(name string) string
	// Now tells the time; nil is for the real one.
	Now func() time.Time
	// Logger hears of mistakes in this program; nil is for nobody.
	Logger *slog.Logger
	// Trace, if not nil, is called when a call begins. It returns the context of the call,
	// and what is called with its result.
	Trace func(context.Context, Tool) (context.Context, func(Result))
}

// usualWait is how long a change waits for its task unless the host or the call says.
const usualWait = 20 * time.Second

// Connect returns a host whose tools call one cluster under a policy, which holds for
// everything that the client sends.
func Connect(name string, o proxmox.Options, p policy.Policy) (Host, error) {
	g := &policy.Guard{Policy: p, Tokens: []string{o.Token.ID}}
	o.Transport = g.Transport(o.Transport)
	client, err := pve.New(o)
	if err != nil {
		return Host{}, err
	}
	g.Lookup = cluster.GuardLookup(client)
	return Host{
		Cluster: name,
		Client:  func(context.Context) (*pve.Client, error) { return client, nil },
		Policy:  p,
		Guard:   g,
		Secret:  o.Token.Secret,
		Explain: explain.Explainer{TokenID: o.Token.ID},
		Wait:    usualWait,
		OwnMACs: ownMACs,
		Recent:  &cluster.RecentChanges{},
		Ignored: &IgnoredArguments{},
		Kept:    &Kept{},
		Used:    once.NewLedger(nil),
	}, nil
}

// WithToken returns a host that calls the same cluster with another token, so that PVE's own
// ACLs decide what that token may do. It shares nothing with h that was read with a token, or remembered.
// The rules about guests are evaluated with the token of h, so that nobody loosens them by
// not seeing a guest's tags; if h has no token, with that of the new host.
func (h Host) WithToken(o proxmox.Options) (Host, error) {
	other, err := Connect(h.Cluster, o, h.Policy)
	if err != nil {
		return Host{}, err
	}
	if h.Guard != nil {
		other.Guard.Lookup, other.Secret = h.Guard.Lookup, h.Secret
		other.Guard.Tokens = append(other.Guard.Tokens, h.Guard.Tokens...)
	}
	other.Seal, other.Audit, other.Named = h.Seal, h.Audit, h.Named
	other.SecretsDir, other.Images, other.OwnMACs = h.SecretsDir, h.Images, h.OwnMACs
	other.Ignored, other.Used, other.Kept = h.Ignored, h.Used, h.Kept
	other.Stays, other.Wait, other.AnswerBytes, other.Parallel, other.Now, other.Logger, other.Trace = h.Stays, h.Wait, h.AnswerBytes, h.Parallel, h.Now, h.Logger, h.Trace
	return other, nil
}

// HostWithoutToken returns a host that makes no call itself. [Host.WithToken] makes of it
// hosts that do.
func HostWithoutToken(name string, p policy.Policy) Host {
	return Host{Cluster: name, Policy: p, Wait: usualWait, OwnMACs: ownMACs, Ignored: &IgnoredArguments{}, Kept: &Kept{}, Used: once.NewLedger(nil), Client: func(context.Context) (*pve.Client, error) {
		return nil, explain.Refusal("Bring a token.", "This server has no PVE token of its own.")
	}}
}

// ownMACs are the MAC addresses of the interfaces of this machine.
func ownMACs() []string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []string
	for _, i := range interfaces {
		if len(i.HardwareAddr) > 0 {
			out = append(out, i.HardwareAddr.String())
		}
	}
	return out
}

// WithDefaults returns the host with what it may leave out.
func (h Host) WithDefaults() Host {
	if h.AnswerBytes == 0 {
		h.AnswerBytes = AnswerBytes
	}
	if h.Parallel == 0 {
		h.Parallel = MostParallel
	}
	if h.Logger == nil {
		h.Logger = slog.New(slog.DiscardHandler)
	}
	if h.Now == nil {
		h.Now = time.Now
	}
	if h.Used == nil {
		h.Used = once.NewLedger(nil)
	}
	if h.Named == nil {
		h.Named = func(string) (Tool, bool) { return Tool{}, false }
	}
	return h
}

// Keys returns the keys that seal what a client hands back. It waits for a secret that comes
// late, as long as ctx lasts.
func (h Host) Keys(ctx context.Context) (seal.Keys, error) {
	if len(h.Seal) > 0 {
		return h.Seal, nil
	}
	secret, err := h.Secret.Read(ctx)
	if err == nil && secret == "" {
		err = errors.New("there is no secret to seal with") // with an empty one, anybody could
	}
	return seal.Keys{[]byte(secret)}, err
}
