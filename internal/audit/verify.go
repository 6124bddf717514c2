package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// File is a file of a log, to be verified.
type File struct {
	Name    string
	Content io.Reader
}

// Report is what is in a log as far as its chain holds.
type Report struct {
	Count int    // of lines
	Head  string // the hash of the last one
	// After is the hash that the first line follows, in a file that is not here; "" if
	// it is the first of all.
	After string
	// Later is how many lines follow the wanted head.
	Later int
	// Open are the calls that have a begin and no end.
	Open []Place
	// Torn are the places where a crash left what is no line.
	Torn []Place
}

// Place is a line of a file.
type Place struct {
	File string
	Line int // from 1; 0 for an empty file
	// About says what the line is about.
	About string
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Problem is what is wrong with a log, at the first place where it shows.
type Problem struct {
	Place
	What string
}

func (p *Problem) Error() string { return p.String() + ": " + p.What }

// CheckHead reports whether text is a hash, as a head is.
func CheckHead(text string) error {
	if !hashRE.MatchString(text) {
		return errors.New("a head has 64 lower-case hexadecimal digits")
	}
	return nil
}

// Verify follows the chain of a log through its files, oldest first. Its error is a
// [*Problem], or that of a file that cannot be read. With keys, lines without one count
// as far as a later one vouches for them, so that a key may be added to a log at any
// time. Lines that were cut off at the end are missed only by wantHead, a head that was
// noted: a line of the log must have it, unless it is "".
func Verify(files []File, keys [][]byte, wantHead string) (Report, error) {
	v := &verifier{keys: keys, places: map[string]Place{}, numbers: map[string]int{}, open: map[string]bool{}}
	for _, f := range files {
		if err := v.file(f); err != nil {
			return Report{}, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	v.close(files, wantHead)
	if v.problem != nil {
		return v.report, v.problem
	}
	return v.report, nil
}

// verifier follows a chain.
type verifier struct {
	keys   [][]byte
	report Report

	places  map[string]Place // of all lines, by their hash
	numbers map[string]int   // of the lines that were followed, from 1, by their hash
	firsts  []first          // of each file
	begun   []begun
	open    map[string]bool // by id
	keyed   bool            // whether the last line has a key
	last    Place

	// problem is the first one, where the chain ends; broken is the link that was not
	// found there, if that is it.
	problem *Problem
	broken  string
	// rest is what has followed the last line and is none, unless a line says that it
	// knows it; trouble and link are the problem that it would be then.
	rest    []byte
	trouble *Problem
	link    string
}

// first is the first line of a file.
type first struct {
	place Place
	prev  string
}

type begun struct {
	id    string
	place Place
}

func (v *verifier) file(f File) error {
	r := bufio.NewReaderSize(f.Content, 64<<10)
	at := Place{File: f.Name}
	for {
		text, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(text) > 0 {
			at.Line++
			v.line(at, text)
		}
		if err != nil {
			break
		}
	}
	if v.trouble == nil || v.problem != nil {
		return nil
	}
	if !bytes.ContainsRune(v.rest, '\n') { // a crash at the very end of the file
		v.report.Torn = append(v.report.Torn, v.trouble.Place)
	} else {
		v.problem, v.broken = v.trouble, v.link
	}
	v.rest, v.trouble = nil, nil
	return nil
}

// line follows the chain to a line.
func (v *verifier) line(at Place, text []byte) {
	bare := bytes.TrimSuffix(text, []byte("\n"))
	ln, ok := parse(bare)
	if ok {
		at.About = about(ln)
		if _, again := v.places[ln.hash]; !again {
			v.places[ln.hash] = at
		}
		if at.Line == 1 {
			v.firsts = append(v.firsts, first{at, ln.Prev})
		}
	}
	if v.problem != nil {
		return
	}
	fits, keyed := v.fits(ln.hash, bare)
	problem, link := v.problemWith(ln, ok, fits)
	knows := ln.Torn != nil && problem == "" && *ln.Torn == *tornOf(v.rest)
	switch {
	case v.trouble != nil && !knows:
		v.rest = append(v.rest, text...)
		return
	case problem == "" && ln.Torn != nil && !knows:
		problem = "what a crash had left before this line was changed or removed"
		fallthrough
	case problem != "":
		v.rest, v.trouble, v.link = bytes.Clone(text), &Problem{at, problem}, link
		return
	case knows && v.trouble != nil:
		v.report.Torn = append(v.report.Torn, v.trouble.Place)
	}
	v.rest, v.trouble = nil, nil
	v.accept(at, ln)
	v.keyed = keyed
}

// problemWith returns why a line is not the next one, and the link that is broken by it,
// if it is that.
func (v *verifier) problemWith(ln line, ok, fits bool) (problem, link string) {
	switch {
	case ok && !fits && v.report.Count == 0:
		return "the line was changed, or its hash was made with a key that is not given here", ""
	case !ok || !fits:
		return "the line was changed", ""
	case v.report.Count > 0 && ln.Prev != v.report.Head:
		return "it does not follow the line before it", ln.Prev
	}
	return "", ""
}

// fits reports whether a hash is that of a line, and whether it was made with a key.
func (v *verifier) fits(hash string, text []byte) (ok, keyed bool) {
	body := sealed(text)
	for _, key := range v.keys {
		if hash == hashOf(key, body) {
			return true, true
		}
	}
	return hash == hashOf(nil, body), false
}

func (v *verifier) accept(at Place, ln line) {
	if v.report.Count == 0 && ln.Prev != genesis {
		v.report.After = ln.Prev
	}
	v.report.Count++
	v.report.Head, v.last = ln.hash, at
	v.numbers[ln.hash] = v.report.Count
	switch ln.Event {
	case "begin":
		v.begun = append(v.begun, begun{ln.ID, at})
		v.open[ln.ID] = true
	case "end":
		delete(v.open, ln.ID)
	}
}

func about(ln line) string {
	words := []string{ln.Time, ln.Tool}
	if ln.About != "" {
		words = append(words, "("+ln.About+")")
	}
	return strings.Join(words, " ")
}

// close judges what can be judged at the end only.
func (v *verifier) close(files []File, wantHead string) {
	for _, b := range v.begun {
		if v.open[b.id] {
			v.report.Open = append(v.report.Open, b.place)
		}
	}
	number, found := v.numbers[wantHead]
	if found {
		v.report.Later = v.report.Count - number
	}
	switch {
	case v.problem != nil && v.broken != "":
		v.problem.What = v.brokenLink()
	case v.problem != nil:
	case v.report.Count > 0 && len(v.keys) > 0 && !v.keyed:
		v.problem = &Problem{v.last, "this last line was made without a key, so that nothing vouches for it"}
	case wantHead != "" && !found && wantHead != v.report.After:
		if v.report.Count == 0 && len(files) > 0 {
			v.last = Place{File: files[len(files)-1].Name}
		}
		v.problem = &Problem{v.last, "the log ends here without the line whose hash is " + wantHead + ": its tail was cut off"}
	}
}

// brokenLink says why a line does not follow the one before it.
func (v *verifier) brokenLink() string {
	if v.problem.Line == 1 {
		for i, f := range v.firsts {
			before, known := v.places[f.prev]
			if known && before.File != f.place.File && (i == 0 || v.firsts[i-1].place.File != before.File) {
				return fmt.Sprintf("the files are in the wrong order: %s continues %s", f.place.File, before.File)
			}
		}
	}
	before, known := v.places[v.broken]
	switch {
	case known:
		return fmt.Sprintf("the lines were reordered: this one follows %v", before)
	case v.problem.Line == 1:
		return "a line before this one is missing, or a file"
	}
	return "a line before this one is missing"
}
