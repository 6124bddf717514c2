package audit

import (
	"bytes"
	"fmt"
	"os"
)

// mostSearched is how many bytes of the end of a log are searched.
const mostSearched = 4 << 20

// Asked is who asked for a change.
type Asked struct {
	Caller string
	Tool   string
}

// AskedFor says who asked for the changes whose tasks the latest lines of the log name, by the
// UPIDs of the tasks. Other processes may have written these lines. Without a file, nothing is
// known.
func (l *Log) AskedFor() (map[string]Asked, error) {
	if l == nil || l.file == nil {
		return nil, nil
	}
	text, err := l.file.end()
	if err != nil {
		return nil, err
	}
	out := map[string]Asked{}
	for one := range bytes.Lines(text) {
		if ln, ok := parse(bytes.TrimSuffix(one, []byte("\n"))); ok && ln.UPID != "" {
			out[ln.UPID] = Asked{ln.Caller, ln.Tool}
		}
	}
	return out, nil
}

// end reads the end of the log.
func (f *file) end() ([]byte, error) {
	log, err := f.name.Open(os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", f.name, err)
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return nil, err
	}
	text := make([]byte, min(info.Size(), mostSearched))
	_, err = log.ReadAt(text, info.Size()-int64(len(text)))
	return text, err
}
