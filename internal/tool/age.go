package tool

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
)

// ages are the units of an age as people write them.
var ages = map[string]time.Duration{
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hour": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
	"month": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour, "year": 365 * 24 * time.Hour,
}

// ParseAge reads the value of an argument that is an age, such as 30d or 24h.
func ParseAge(argument, text string) (time.Duration, error) {
	said := strings.ToLower(strings.TrimSpace(text))
	digits := len(said) - len(strings.TrimLeft(said, "0123456789."))
	word := strings.TrimSpace(said[digits:])
	unit := ages[word]
	if unit == 0 && len(word) > len("ms") { // 2 days
		unit = ages[strings.TrimSuffix(word, "s")]
	}
	n, err := strconv.ParseFloat(said[:digits], 64)
	const most = 100 * 365 // days
	if days := n * unit.Hours() / 24; err != nil || unit == 0 || days <= 0 || days > most {
		return 0, BadArgument(argument, fmt.Sprintf("is %q, which is no age such as 30d, 24h or 2w", render.Text(text, 40)))
	}
	return time.Duration(n * float64(unit)), nil
}
