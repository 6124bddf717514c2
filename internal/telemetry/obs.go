// Package telemetry lets the operator of a process see what it does: logs whose lines say to
// which request they belong, traces, and the names under which requests to PVE are
// counted.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope names who traces.
const scope = "pve-mcp"

// New returns an observer. It traces if one of OTEL_EXPORTER_OTLP_ENDPOINT,
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and OTEL_TRACES_EXPORTER=otlp is set, unless
// OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER=none is; what these and the other OTEL_*
// variables say is OpenTelemetry's to define. Those that cannot be followed are logged, and
// leave tracing off: they may be meant for other programs on the machine.
func New(logger *slog.Logger, version string, env func(name string) string) *Observer {
	o := &Observer{
		logger: logger, tracer: noop.NewTracerProvider().Tracer(scope),
		flush: func(context.Context) error { return nil },
	}
	on, err := wanted(env)
	if on {
		err = o.trace(version, env)
	}
	if err != nil {
		logger.Warn("nothing is traced", "cause", err)
	}
	return o
}

// wanted reports whether the environment asks for traces.
func wanted(env environment) (bool, error) {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := env("OTEL_TRACES_EXPORTER"); exporter {
	case "otlp":
		return true, nil
	case "":
		return env.exporter("ENDPOINT") != "", nil
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is neither otlp nor none", exporter)
	}
}

// trace turns tracing on. The SDK reads the rest of its variables itself.
func (o *Observer) trace(version string, env environment) error {
	exporter, err := newCollector(env)
	if err != nil {
		return err
	}
	about, err := resource.New(context.Background(), resource.WithHost(), resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("pve-mcp"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return err
	}
	// The SDK tells its troubles to the process as a whole.
	otel.SetLogger(logr.FromSlogHandler(Quiet(o.logger).Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.logger.Warn("traces are lost", "cause", err) }))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	o.tracer, o.flush = provider.Tracer(scope), provider.Shutdown
	return nil
}
