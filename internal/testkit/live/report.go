package live

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// wanted is the variable with which a live run tells the tests that it starts what they are
// for. Settings alone never make a test live.
const wanted = "PVE_LIVE_RUN"

// Wanting is the variable with its value.
func Wanting() string { return wanted + "=1" }

// Wanted reports whether this process was started by a live run.
func Wanted() bool { return os.Getenv(wanted) != "" }

// Verdict is what came of a story.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "FAILED"
	SimOnly Verdict = "sim only" // it cannot run anywhere
	NotHere Verdict = "not here" // it could, with another setting
)

// NoStory is why a test that is no story is skipped.
const NoStory = "no story that can run anywhere"

// mark is what the line of a report begins with.
const mark = "live: "

// Report says what came of a story, and where or why.
func Report(v Verdict, story, remark string) {
	fmt.Printf("%s%-8s  %s (%s)\n", mark, v, story, remark)
}

// chatter are the lines of go test -v that say no more than reports do.
var chatter = lazyregexp.New(`^(=== |\s*--- (PASS|SKIP)|PASS$|ok  \t|\?   \t|\s+\w+\.go:\d+: ` + NoStory + `)`)

// Tally passes on what tests print, without chatter, and returns how many stories had each
// verdict.
func Tally(w io.Writer, r io.Reader) (string, error) {
	count := map[Verdict]int{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		line := lines.Text()
		if chatter.MatchString(line) {
			continue
		}
		for _, v := range []Verdict{Passed, Failed, SimOnly, NotHere} {
			if strings.HasPrefix(line, mark+string(v)) {
				count[v]++
			}
		}
		fmt.Fprintln(w, line)
	}
	return fmt.Sprintf("%d passed, %d failed, %d not here, %d sim only", count[Passed], count[Failed], count[NotHere], count[SimOnly]), lines.Err()
}

// Help explains the settings.
func Help() string {
	var b strings.Builder
	for _, s := range Table() {
		fmt.Fprintf(&b, "  %-18s %s", s.Key, s.Doc)
		if s.Optional != "" {
			fmt.Fprintf(&b, " (without it %s)", s.Optional)
		}
		fmt.Fprintf(&b, "; for example %s\n", s.Example)
	}
	return b.String()
}
