package console

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/guestexec"
	"github.com/pve-mcp/pve-mcp/internal/rfb"
	"github.com/pve-mcp/pve-mcp/internal/screen"
	"github.com/pve-mcp/pve-mcp/internal/terminal"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// view is what a console shows.
type view struct {
	kind    screen.Kind
	size    string // such as 80x25
	lines   []string
	cursor  image.Point
	picture *image.RGBA // of a screen
	ended   bool        // nothing more comes
}

// sameAs reports whether nothing has changed, apart from details such as a cursor that blinks.
func (v view) sameAs(o view) bool {
	if v.kind != o.kind || v.kind != screen.Graphical {
		return v.kind == o.kind && slices.Equal(v.lines, o.lines)
	}
	return screen.Same(v.picture, o.picture)
}

// display is an open console. It is used by one goroutine at a time.
type display interface {
	// see returns what is shown, as far as it has come.
	see() view
	// watch waits until something comes, or ctx ends.
	watch(ctx context.Context) (changed bool, err error)
	Close() error
}

// vmScreen is the screen of a VM.
type vmScreen struct {
	*rfb.Client
	picture *image.RGBA
}

func (s *vmScreen) see() view {
	picture := &image.RGBA{Pix: slices.Clone(s.picture.Pix), Stride: s.picture.Stride, Rect: s.picture.Rect}
	text, kind := screen.Read(picture)
	v := view{kind: kind, lines: text.Lines, cursor: text.Cursor, picture: picture, size: fmt.Sprintf("%dx%d", picture.Rect.Dx(), picture.Rect.Dy())}
	if kind == screen.Textual {
		v.size = fmt.Sprintf("%dx%d", text.Columns, text.Rows)
	}
	return v
}

func (s *vmScreen) watch(ctx context.Context) (changed bool, err error) {
	s.picture, changed, err = s.Watch(ctx)
	return changed, err
}

// guestTerminal is the console of a container, or the serial port of a VM.
type guestTerminal struct{ *terminal.Terminal }

// portOpens begins what PVE itself prints at the beginning.
const portOpens = "starting serial terminal on interface "

func (t *guestTerminal) see() view {
	column, row := t.Cursor()
	lines := t.Lines()
	if len(lines) > 0 && strings.HasPrefix(lines[0], portOpens) {
		lines = lines[1:]
	}
	return view{
		kind: screen.Textual, lines: lines, cursor: image.Pt(column, row), ended: t.Ended != nil,
		size: fmt.Sprintf("%dx%d", terminal.Columns, terminal.Rows),
	}
}

func (t *guestTerminal) watch(ctx context.Context) (changed bool, err error) {
	return t.Watch(ctx), nil
}

const (
	// firstLook is how long all of a screen may take to come.
	firstLook = 20 * time.Second
	// listens is how long a terminal is listened to: it shows only what comes from now on.
	listens = 2 * time.Second
)

// open opens the console.
func open(ctx context.Context, c *tool.Call, src source) (display, error) {
	c.Report(cluster.Progress{Message: "opens the console of " + src.Label})
	_, console, err := cluster.AtGuest(ctx, c.View, src.Guest.VMID, func(g pve.GuestRef) (*pve.Console, error) {
		switch {
		case g.Kind == pve.LXC:
			return guestexec.OpenConsole(ctx, c, g)
		case src.Terminal:
			return c.PVE.OpenTerminal(ctx, g)
		}
		return c.PVE.OpenScreen(ctx, g)
	})
	if err != nil {
		return nil, explainOffer(src, err)
	}
	if src.Terminal {
		return openTerminal(ctx, src, console)
	}
	client, err := rfb.Connect(ctx, console, console.Password)
	if err != nil {
		return nil, explainScreen(src, err)
	}
	first, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	picture, err := client.Look(first)
	if err != nil {
		return nil, errors.Join(explainScreen(src, err), client.Close())
	}
	return &vmScreen{client, picture}, nil
}

func openTerminal(ctx context.Context, src source, console *pve.Console) (display, error) {
	t, err := terminal.Open(ctx, console, console.User, console.Ticket)
	if err != nil {
		return nil, explainTerminal(src, err)
	}
	listening, cancel := context.WithTimeout(ctx, listens)
	defer cancel()
	for listening.Err() == nil && t.Ended == nil {
		t.Watch(listening)
	}
	if err := noPort(src, t); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return &guestTerminal{t}, nil
}

// noPort says that the VM runs without a serial port, as its terminal does.
func noPort(src source, t *terminal.Terminal) error {
	if src.Guest.Kind == pve.QEMU && strings.Contains(strings.Join(t.Lines(), " "), "unable to find a serial interface") {
		return explain.Refusal("Shut the VM down and start it again, so that it gets the port that its configuration has.", "%v runs without a serial port.", src.Guest)
	}
	return nil
}
