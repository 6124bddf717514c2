package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pve-mcp/pve-mcp/internal/files"
)

// collector takes traces by OTLP over HTTP, in protobuf. The SDK's own exporter would bring
// protobuf into every binary, and its client gRPC.
type collector struct {
	url     string
	headers http.Header
	gzip    bool
	timeout time.Duration // for a batch, with all attempts
	http    *http.Client
}

// environment looks up OTEL_* variables.
type environment func(name string) string

// exporter is a variable of the exporter of traces, or that of all exporters.
func (env environment) exporter(name string) string {
	if v := env("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
		return v
	}
	return env("OTEL_EXPORTER_OTLP_" + name)
}

// newCollector reads the variables about the exporter, as OpenTelemetry defines them.
func newCollector(env environment) (*collector, error) {
	c := &collector{headers: http.Header{}, timeout: 10 * time.Second}
	if p := env.exporter("PROTOCOL"); p != "" && p != "http/protobuf" {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not supported; http/protobuf is", p)
	}
	c.url = env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if all := env("OTEL_EXPORTER_OTLP_ENDPOINT"); c.url == "" && all != "" {
		c.url = strings.TrimSuffix(all, "/") + "/v1/traces"
	} else if c.url == "" {
		c.url = "http://localhost:4318/v1/traces"
	}
	if u, err := url.Parse(c.url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT: not a URL such as http://127.0.0.1:4318")
	}
	for pair := range strings.SplitSeq(env.exporter("HEADERS"), ",") {
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); name == "" && !ok {
			continue
		}
		if name == "" || !ok || err != nil {
			return nil, errors.New("OTEL_EXPORTER_OTLP_HEADERS: not of the form NAME=VALUE,NAME=VALUE")
		}
		c.headers.Set(name, value)
	}
	switch compression := env.exporter("COMPRESSION"); compression {
	case "", "none":
	case "gzip":
		c.gzip = true
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_COMPRESSION: %q is neither gzip nor none", compression)
	}
	if text := env.exporter("TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT: %q is not a number of milliseconds", text)
		}
		c.timeout = time.Duration(ms) * time.Millisecond
	}
	config, err := tlsOf(env)
	if err != nil {
		return nil, err
	}
	c.http = &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func tlsOf(env environment) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := env.exporter("CERTIFICATE"); file != "" {
		data, err := files.At(file).Read()
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, errors.New("OTEL_EXPORTER_OTLP_CERTIFICATE: the file has no certificate in PEM form")
		}
	}
	if cert, key := env.exporter("CLIENT_CERTIFICATE"), env.exporter("CLIENT_KEY"); cert != "" || key != "" {
		pair, err := files.KeyPair(files.At(cert), files.At(key))
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// ExportSpans implements [sdk.SpanExporter]. It tries again if the collector asks for
// that, or cannot be reached.
func (c *collector) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	body := []byte(tracesOf(spans))
	if c.gzip {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(body); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		body = packed.Bytes()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, c.send(ctx, body) })
	return err
}

// Shutdown implements [sdk.SpanExporter].
func (c *collector) Shutdown(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *collector) send(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	req.Header = c.headers.Clone()
	req.Header.Set("Content-Type", "application/x-protobuf")
	if c.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			return backoff.RetryAfter(s)
		}
		return fmt.Errorf("the collector answers %s", resp.Status)
	}
	return backoff.Permanent(fmt.Errorf("the collector answers %s", resp.Status))
}
