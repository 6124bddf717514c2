package retention

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Each period keeps the newest backup of its own, and counts only periods that no kind
// before it has a backup of.
func TestMark(t *testing.T) {
	at := func(text string) Backup {
		text, protected := strings.CutSuffix(text, "!")
		made, err := time.Parse("01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return Backup{Made: made, Protected: protected}
	}
	days := []string{"03-05 04:00", "03-05 02:00", "03-04 02:00", "03-03 02:00", "02-20 02:00"}
	for _, tt := range []struct {
		policy  string
		backups []string
		want    string
	}{
		{"", days, "keep keep keep keep keep"},
		{"keep-all=1,keep-last=1", days, "keep keep keep keep keep"},
		{"keep-last=2", days, "keep keep remove remove remove"},
		{"keep-daily=2", days, "keep remove keep remove remove"},
		{"keep-last=1,keep-daily=2", days, "keep remove keep keep remove"},
		{"keep-monthly=2", days, "keep remove remove remove keep"},
		{"keep-last=1", []string{"03-01 02:00", "03-05 02:00!", "03-04 02:00"}, "remove protected keep"},
	} {
		var backups []Backup
		for _, text := range tt.backups {
			backups = append(backups, at(text))
		}
		if got := strings.Join(Parse(tt.policy).Mark(backups), " "); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.policy, got, tt.want)
		}
		// Whatever the order.
		slices.Reverse(backups)
		got := Parse(tt.policy).Mark(backups)
		slices.Reverse(got)
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%q, oldest first: %s, want %s", tt.policy, text, tt.want)
		}
	}
}
