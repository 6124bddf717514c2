package schedule_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/schedule"
)

// What people say becomes a calendar event, and that becomes words again. What is not understood
// stays as it is.
func TestWordsThereAndBack(t *testing.T) {
	for said, want := range map[string][2]string{
		"every night at 2":    {"02:00", "every day at 02:00"},
		"every 15 minutes":    {"*/15", "every 15 minutes"},
		"every four hours":    {"*/4:00", "every 4 hours"},
		"weekdays at 10 pm":   {"mon..fri 22:00", "Mon to Fri at 22:00"},
		"sunday at 3:30":      {"sun 03:30", "Sun at 03:30"},
		"2026-12-31 02:00":    {"2026-12-31 02:00", "once, on 2026-12-31 at 02:00"},
		"when the moon rises": {"when the moon rises", ""},
	} {
		event := schedule.Event(said)
		if words := schedule.Words(event); event != want[0] || words != want[1] {
			t.Errorf("%s: %q, %q; want %q", said, event, words, want)
		}
	}
	if !schedule.IsOnce("2026-12-31 02:00") || schedule.IsOnce("02:00") {
		t.Error("what comes once is not known as such")
	}
}
