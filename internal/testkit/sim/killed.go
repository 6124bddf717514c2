package sim

import (
	"net/http"
	"sync/atomic"
)

// Killed is a wire of a process that is killed when so many writes have passed: it sends nothing
// after that, and hears no answer. If the last one is lost, it does not hear of that write either.
func Killed(writes int, losesLast bool) func(http.RoundTripper) http.RoundTripper {
	return func(rt http.RoundTripper) http.RoundTripper {
		return &killed{RoundTripper: rt, writes: int64(writes), losesLast: losesLast}
	}
}

type killed struct {
	http.RoundTripper
	writes    int64
	losesLast bool
	sent      atomic.Int64
}

func (k *killed) RoundTrip(req *http.Request) (*http.Response, error) {
	if k.sent.Load() >= k.writes {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	resp, err := k.RoundTripper.RoundTrip(req)
	if req.Method != http.MethodGet && k.sent.Add(1) == k.writes && k.losesLast {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return resp, err
}
