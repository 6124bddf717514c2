package newguest

import (
	"cmp"
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Goal is how far a guest is to have come, and what is known of it before it answers.
type Goal struct {
	For     string // agent or address
	Label   string // the guest, for a person
	Address string // that it was given
	User    string // who logs in there, if that is known
}

// Look is what is seen of a guest on its way there.
type Look struct {
	Address string
	Agent   string // answers, or why it does not
	Message string
	Next    string
}

// LookFor looks whether a running guest has come as far as it is to. The error is
// [change.ErrNotYet] if it has not.
func LookFor(ctx context.Context, v *cluster.View, g pve.GuestRef, goal Goal) (Look, error) {
	r, err := ReadReach(ctx, v, g)
	if err != nil {
		return Look{}, err
	}
	out := Look{Address: cmp.Or(r.Address, goal.Address), Agent: r.Why}
	if r.Answers {
		out.Agent = "answers"
	}
	byAddress := goal.For == "address"
	switch {
	case !r.Answers && goal.Address != "" && byAddress:
		out.Message = fmt.Sprintf("%s runs on %s with the address %s, which it was given; whether it answers is not known: %s.", goal.Label, g.Node, goal.Address, r.Why)
		return out, nil
	case !r.Answers, r.Address == "" && byAddress:
		out.Message = fmt.Sprintf("%s runs on %s, and does not answer yet: %s.", goal.Label, g.Node, r.Why)
		out.Next = "The first boot takes a minute or two. Look again with pve_guest_status; if it stays so, its console shows why."
		return out, change.ErrNotYet
	}
	out.Message = fmt.Sprintf("%s runs on %s and answers", goal.Label, g.Node)
	switch {
	case out.Address != "" && goal.User != "":
		out.Message += fmt.Sprintf(": ssh %s@%s", goal.User, out.Address)
	case out.Address != "":
		out.Message += " at " + out.Address
	}
	return out, nil
}
