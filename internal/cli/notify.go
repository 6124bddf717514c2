package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/pve-mcp/pve-mcp/internal/config"
)

// notify tells systemd, if that started the process and wants to know (NOTIFY_SOCKET),
// that requests are accepted at an address, that the server stops when ctx ends, and, as
// often as it wants (WATCHDOG_USEC), that it still answers. What it returns is for the end of
// the process, which may come before systemd has heard that the server stops: it waits for that.
func (a *app) notify(ctx context.Context, at net.Addr, cfg config.HTTP) (end func()) {
	say := func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			a.log.Warn("systemd was not told", "state", state, "cause", err)
		}
	}
	say(daemon.SdNotifyReady)
	sayStopping := func() {
		patience := cfg.Drain + 10*time.Second // and a little more, for what ends with it
		say(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, patience.Microseconds()))
	}
	told := make(chan struct{})
	running := context.AfterFunc(ctx, func() {
		defer close(told)
		sayStopping()
	})
	every, err := daemon.SdWatchdogEnabled(false)
	switch {
	case err != nil:
		a.log.Warn("systemd's watchdog is not told", "cause", err)
	case every > 0:
		go func() {
			for ctx.Err() == nil {
				if err := answers(ctx, at, !cfg.Cert.IsZero(), every/3); err == nil {
					say(daemon.SdNotifyWatchdog)
				} else if ctx.Err() == nil {
					a.log.Warn("the server does not answer itself", "cause", err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(every / 3):
				}
			}
		}()
	}
	return func() {
		switch kept := running(); {
		case !kept:
			<-told
		case ctx.Err() != nil: // the end of ctx was seen before what it was to call
			sayStopping()
		}
	}
}

// answers asks the server at an address of this machine whether it is alive.
func answers(ctx context.Context, at net.Addr, encrypted bool, patience time.Duration) error {
	url := "http://" + at.String() + "/healthz"
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	if encrypted { // whose certificate that is does not matter here
		url = "https://" + at.String() + "/healthz"
		client.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
