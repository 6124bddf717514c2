package proxmox

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// The most attempts at a read, and the pause before the second; the next ones are
// longer, and all are varied so that many clients do not come back at once.
const (
	attempts  = 3
	retryWait = 300 * time.Millisecond
)

// quickEnough is how soon a read has failed that is sent again although a node was reached.
const quickEnough = 15 * time.Second

// read sends a GET, and again if it got no answer. No attempt begins after the time
// that the first one may take.
func (c *Client) read(ctx context.Context, p Path, params url.Values) (Answer, error) {
	var last error
	once := func() (Answer, error) {
		begun := time.Now()
		ans, err := c.round(ctx, http.MethodGet, p, params)
		last = err
		if err != nil && (!repeatable(err) || tookItsTime(err, begun)) {
			err = backoff.Permanent(err)
		}
		return ans, err
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = retryWait
	ans, err := backoff.Retry(ctx, once, backoff.WithBackOff(pauses),
		backoff.WithMaxTries(attempts), backoff.WithMaxElapsedTime(c.timeoutOf(http.MethodGet, p)))
	if err == nil {
		return ans, nil
	}
	if c.outdates(last) {
		c.changed()
	}
	return Answer{}, last // without the wrapping of package backoff
}

// round sends a request once: to an endpoint, and to the next ones if [elsewhere]
// allows it.
func (c *Client) round(ctx context.Context, method string, p Path, params url.Values) (ans Answer, err error) {
	err = c.try(ctx, method, func(e *endpoint) (sent bool, err error) {
		ans, sent, err = c.send(ctx, e, method, p, params)
		return sent, err
	})
	return ans, err
}

// try sends a request by send to an endpoint, and to the next ones if [elsewhere] allows
// it.
func (c *Client) try(ctx context.Context, method string, send func(*endpoint) (sent bool, err error)) error {
	var silent []*endpoint
	var errs []error
	for _, e := range c.endpoints.order() {
		begun := time.Now()
		sent, err := send(e)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case !unanswered(err):
			c.endpoints.answered(e, silent)
			return err
		}
		silent, errs = append(silent, e), append(errs, err)
		if tookItsTime(err, begun) || !elsewhere(method, sent, err) {
			if !byProxy(err) {
				c.endpoints.rest(silent)
			}
			return err
		}
	}
	return errors.Join(errs...)
}

// byProxy reports whether the endpoint itself answered, for a node behind it that did
// not.
func byProxy(err error) bool {
	var said *Error
	return errors.As(err, &said) && said.NodeUnreachable()
}

// tookItsTime reports whether PVE's proxy gave up waiting for an answer that was asked for at a time.
// Another endpoint would wait for the same.
func tookItsTime(err error, begun time.Time) bool {
	var said *Error
	return errors.As(err, &said) && said.NodeUnreachable() && said.Status != statusUnreachable && time.Since(begun) > quickEnough
}

// elsewhere reports whether a request that failed at one endpoint may be sent to
// another: one that was not sent, or one that only reads and got no answer. One that
// took all its time is not given it again.
func elsewhere(method string, sent bool, err error) bool {
	switch {
	case !sent:
		return true
	case method != http.MethodGet || errors.Is(err, context.DeadlineExceeded):
		return false
	}
	return unanswered(err)
}

// unanswered reports whether err says that no answer of PVE's own came to a request.
func unanswered(err error) bool {
	var lost *LostError
	var said *Error
	var unconnected *ConnectError
	return errors.As(err, &lost) || errors.As(err, &unconnected) || isForeign(err) || errors.As(err, &said) && said.NodeUnreachable()
}

// isRefusal reports whether PVE itself has refused a request.
func isRefusal(err error) bool {
	var said *Error
	return errors.As(err, &said) && !said.NodeUnreachable()
}

// repeatable reports whether a read that failed everywhere may succeed in a moment
// somewhere. What took its time, cannot be found, or is not whom it should be is not
// asked again.
func repeatable(err error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(several.Unwrap(), repeatable)
	}
	var dns *net.DNSError
	var timeout net.Error
	var other *ForeignError
	switch {
	case errors.As(err, &other) && !other.Passing():
		return false
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), distrusted(err):
		return false
	case errors.As(err, &timeout) && timeout.Timeout(), errors.As(err, &dns) && dns.IsNotFound:
		return false
	}
	return unanswered(err)
}

// distrusted reports whether a certificate was refused.
func distrusted(err error) bool {
	var pin *PinError
	var unverified *tls.CertificateVerificationError
	return errors.As(err, &pin) || errors.As(err, &unverified)
}
