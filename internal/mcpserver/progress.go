package mcpserver

import (
	"context"
	"math"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
)

// lastProgress is how long an answer waits for a client to take the last progress.
const lastProgress = time.Second

// progress returns what sends the progress that a call reports, if the client asked
// for it, and what ends that, so that none comes after the answer. A call does not wait
// for a client that does not take it: that one hears less of it.
func progress(ctx context.Context, req *mcp.CallToolRequest) (report func(cluster.Progress), end func()) {
	token := req.Params.GetProgressToken()
	if token == nil {
		return nil, func() {}
	}
	newest, sent := make(chan cluster.Progress, 1), make(chan struct{})
	sending, stop := context.WithCancel(ctx)
	go func() {
		defer close(sent)
		for p := range newest {
			if sending.Err() != nil {
				return
			}
			// A client that does not hear of it misses nothing that the result lacks.
			_ = req.Session.NotifyProgress(sending, &mcp.ProgressNotificationParams{
				ProgressToken: token, Progress: rounded(p.Done), Total: rounded(p.Total), Message: p.Message,
			})
		}
	}()
	report = func(p cluster.Progress) {
		select {
		case <-newest: // which nobody has taken
		default:
		}
		newest <- p
	}
	end = func() {
		defer stop() // of what was not taken by then, nothing comes after the answer
		close(newest)
		select {
		case <-sent:
		case <-time.After(lastProgress):
		}
	}
	return report, end
}

// rounded has no digits that come from computing, but enough that what goes on goes up.
func rounded(done float64) float64 { return math.Round(done*1e6) / 1e6 }
