// Package audit keeps a record of every call that could change something: a line
// before it is sent, and one with its outcome.
package audit

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// Log writes records to a logger. A nil *Log writes nothing.
type Log struct{ logger *slog.Logger }

// New returns a log that writes to logger.
func New(logger *slog.Logger) *Log { return &Log{logger} }

// Record is what is known of a call before it is sent.
type Record struct {
	Tool      string
	Caller    string
	Arguments json.RawMessage
	About     string // what would be done, to what
}

// Entry is a call under way.
type Entry struct {
	log    *Log
	record Record
	begun  time.Time
}

// Begin writes the line before a call is sent.
func (l *Log) Begin(r Record) *Entry {
	if l == nil {
		return nil
	}
	l.logger.LogAttrs(context.Background(), slog.LevelInfo, "change begins", r.attrs()...)
	return &Entry{log: l, record: r, begun: time.Now()}
}

// End writes the line with the outcome.
func (e *Entry) End(outcome, upid string) {
	if e == nil {
		return
	}
	attrs := append(e.record.attrs(), slog.String("outcome", outcome), slog.String("upid", upid),
		slog.Duration("took", time.Since(e.begun).Round(time.Millisecond)))
	e.log.logger.LogAttrs(context.Background(), slog.LevelInfo, "change ended", attrs...)
}

func (r Record) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("tool", r.Tool), slog.String("caller", r.Caller),
		slog.String("arguments", string(r.Arguments)), slog.String("about", r.About),
	}
}
