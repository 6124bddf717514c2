// Package audit keeps a record of every call that could change something: a line
// before it is sent, and one with its outcome, or one line for a call that was not sent.
//
// # The file
//
// A file has a JSON object a line, in UTF-8, with these fields, of which those that have
// nothing to say are left out:
//
//	time         RFC 3339 with milliseconds and zone
//	event        asked, begin, end, refused, or torn
//	id           the same in the begin and the end of a call
//	caller, tool, about, cluster, guest (a vmid), node
//	subject      what is changed, such as storage local, if that is no guest
//	arguments    of the call, without its secrets
//	consent      param, human, or none
//	outcome      of an end: ok, warnings, failed, running, unknown; of a call that was
//	             not sent: refused, declined, unanswered, failed
//	reason       why a call was not sent
//	upid         the task
//	duration_ms  from begin to end
//	torn         of an event torn: bytes and sha256 of what stands before this line
//	prev         the hash of the line before; 64 zeros in the first line of all
//	hash         the hash of this line; always the last field
//
// # The chain
//
// Each line ends with the 77 bytes
//
//	,"hash":"<64 lower-case hexadecimal digits>"}\n
//
// and its hash is that of all bytes before these and a closing brace: of the line without
// this field and without its newline. It is HMAC-SHA256 with a key, and SHA-256 without
// one. Without a key, anyone who can write the file can make a valid chain; only a copy
// of its head that is kept elsewhere shows that.
//
// # Files beside it
//
// A process locks FILE.lock while it writes. FILE.head has the hash of the last line.
// With it, a new file continues the chain after the old one was moved away or emptied,
// and the next line shows that lines were cut off.
//
// # What a crash leaves
//
// A line is in the file and on the disk before the change is sent. Where a write fails,
// the file is cut back to what it was. What a crash leaves of a line stays in the file;
// the next line stands on its own, and is an event torn that says what it follows.
package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/render"
)

// Log writes records. A nil *Log does nothing.
type Log struct {
	file   *file // nil for none
	logger *slog.Logger
	now    func() time.Time
}

// Options say where records go.
type Options struct {
	// File is the log, the zero value for none. Its folder has to be there.
	File files.Name
	// Keys are those of the chain, the newest first: lines are written with that. Without
	// a key the chain is one of plain hashes.
	Keys [][]byte
	// Logger gets each record too, with the context of the call. It may be nil.
	Logger *slog.Logger
	// Now returns the time. It is time.Now if nil.
	Now func() time.Time
}

// New returns a log, and an error that names the file if it cannot be written, or is
// something else.
func New(o Options) (*Log, error) {
	l := &Log{logger: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), now: o.Now}
	if l.now == nil {
		l.now = time.Now
	}
	if o.File.IsZero() {
		return l, nil
	}
	l.file = newFile(o.File, o.Keys)
	if err := l.file.write(); err != nil {
		return nil, err
	}
	return l, nil
}

// Record is a call that may change something.
type Record struct {
	Tool      string
	Caller    string
	Arguments json.RawMessage
	About     string // what would be done, to what
	Cluster   string
	Guest     int    // its vmid, 0 for none
	Subject   string // if it is no guest
	Node      string
	Consent   string // param, human, or none
	Reason    string // why it is not sent
}

// Entry is a call under way. A nil *Entry does nothing.
type Entry struct {
	log   *Log
	line  line
	begun time.Time
}

// Begin writes that a call is about to be sent. After an error, which names the file and
// says what happened, the change must not be made.
func (l *Log) Begin(ctx context.Context, r Record) (*Entry, error) {
	if l == nil {
		return nil, nil
	}
	begun := l.now()
	e := &Entry{log: l, line: lineOf(r), begun: begun}
	e.line.ID = rand.Text()
	begin := e.line
	begin.Event = "begin"
	if err := l.write(ctx, "change begins", begin, begun); err != nil {
		return nil, err
	}
	return e, nil
}

// End writes how the call ended.
func (e *Entry) End(ctx context.Context, outcome, upid string) error {
	if e == nil {
		return nil
	}
	now := e.log.now()
	end := e.line
	took := now.Sub(e.begun).Milliseconds()
	end.Event, end.Outcome, end.UPID, end.DurationMS = "end", outcome, upid, &took
	return e.log.write(ctx, "change ended", end, now)
}

// Ask writes that a human is asked about a call. What comes of it is another line, if an
// answer comes.
func (l *Log) Ask(ctx context.Context, r Record) error {
	if l == nil {
		return nil
	}
	asked := lineOf(r)
	asked.Event = "asked"
	return l.write(ctx, "consent asked", asked, l.now())
}

// Refuse writes a call that was not sent. The outcome is refused, declined, unanswered, or
// failed.
func (l *Log) Refuse(ctx context.Context, r Record, outcome string) error {
	if l == nil {
		return nil
	}
	refused := lineOf(r)
	refused.Event, refused.Outcome = "refused", outcome
	return l.write(ctx, "change refused", refused, l.now())
}

func lineOf(r Record) line {
	return line{
		Caller: cut(r.Caller, maxName), Tool: cut(r.Tool, maxName), Arguments: withoutSecrets(r.Arguments), About: cut(render.MaskSecrets(r.About), maxText),
		Cluster: cut(r.Cluster, maxName), Guest: r.Guest, Subject: cut(r.Subject, maxName), Node: cut(r.Node, maxName), Consent: r.Consent, Reason: cut(render.MaskSecrets(r.Reason), maxText),
	}
}

// write writes a line to the file, and then to the logger, which hears of it too where
// the file cannot be written.
func (l *Log) write(ctx context.Context, message string, ln line, now time.Time) error {
	ln.Time = now.Format("2006-01-02T15:04:05.000Z07:00")
	var err error
	if l.file != nil {
		err = l.file.write(ln)
	}
	level, attrs := slog.LevelInfo, ln.attrs()
	if err != nil {
		level, attrs = slog.LevelError, append(attrs, slog.String("not_recorded", err.Error()))
	}
	l.logger.LogAttrs(ctx, level, message, attrs...)
	return err
}

// line is a line of the file, without its hash.
type line struct {
	Time       string          `json:"time"`
	Event      string          `json:"event"`
	ID         string          `json:"id,omitzero"`
	Caller     string          `json:"caller,omitzero"`
	Tool       string          `json:"tool,omitzero"`
	Arguments  json.RawMessage `json:"arguments,omitzero"`
	About      string          `json:"about,omitzero"`
	Cluster    string          `json:"cluster,omitzero"`
	Guest      int             `json:"guest,omitzero"`
	Subject    string          `json:"subject,omitzero"`
	Node       string          `json:"node,omitzero"`
	Consent    string          `json:"consent,omitzero"`
	Outcome    string          `json:"outcome,omitzero"`
	Reason     string          `json:"reason,omitzero"`
	UPID       string          `json:"upid,omitzero"`
	DurationMS *int64          `json:"duration_ms,omitzero"`
	Torn       *torn           `json:"torn,omitzero"`
	Prev       string          `json:"prev"`

	hash string
}

// torn is what stands between two lines and is none.
type torn struct {
	Bytes  int    `json:"bytes"` // without the newline that ends it
	SHA256 string `json:"sha256"`
}

func tornOf(rest []byte) *torn {
	rest = bytes.TrimSuffix(rest, []byte("\n"))
	return &torn{len(rest), hashOf(nil, rest)}
}

func (ln line) attrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("tool", ln.Tool), slog.String("caller", ln.Caller),
		slog.String("arguments", string(ln.Arguments)), slog.String("about", ln.About),
	}
	if ln.Outcome != "" {
		attrs = append(attrs, slog.String("outcome", ln.Outcome))
	}
	if ln.Reason != "" {
		attrs = append(attrs, slog.String("reason", ln.Reason))
	}
	if ln.DurationMS != nil {
		attrs = append(attrs, slog.String("upid", ln.UPID), slog.Duration("took", time.Duration(*ln.DurationMS)*time.Millisecond))
	}
	return attrs
}
