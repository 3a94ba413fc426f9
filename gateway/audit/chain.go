package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
)

// lineBytesMax bounds a line, its end included. What Append makes is always shorter.
const lineBytesMax = 1 << 20

// hash is the SHA-256 of a line without its line end.
type hash [sha256.Size]byte

func (h hash) String() string { return hex.EncodeToString(h[:]) }

func parseHash(text string) (h hash, ok bool) {
	if len(text) != hex.EncodedLen(len(h)) {
		return h, false
	}
	n, err := hex.Decode(h[:], []byte(text))
	return h, err == nil && n == len(h) && h.String() == text
}

// position is how far a chain has come: the number of its last record and that one's hash. The zero
// value is a chain without records.
type position struct {
	seq  uint64
	hash hash
}

const (
	headFormat = `{"format":1,"seq":`
	headPrev   = `,"prev":"`
	headEvent  = `","event":"`
)

// appendLine appends the record that follows on p, as a line, and moves p to it. body is the event and
// what follows it, as appendBody makes it.
func appendLine(b []byte, p *position, body []byte) []byte {
	from := len(b)
	b = append(b, headFormat...)
	b = strconv.AppendUint(b, p.seq+1, 10)
	b = append(b, headPrev...)
	b = hex.AppendEncode(b, p.hash[:])
	b = append(b, headEvent...)
	b = append(b, body...)
	p.seq++
	p.hash = sha256.Sum256(b[from:])
	return append(b, '\n')
}

// appendBody appends what of a record does not depend on its place.
func appendBody(b []byte, e Entry) []byte {
	b = append(b, e.event()...)
	b = append(b, '"')
	b = e.appendFields(b)
	return append(b, '}')
}

// line is a record as it was read.
type line struct {
	position
	prev  hash
	event string
}

var errLine = errors.New("is no record")

// parseLine reads the head of a record, in the one form that appendLine gives it. text has no line end.
func parseLine(text []byte) (l line, err error) {
	rest, ok := bytes.CutPrefix(text, []byte(headFormat))
	digits := bytes.IndexByte(rest, ',')
	if !ok || digits < 1 || digits > 20 || rest[0] == '0' || len(text) >= lineBytesMax {
		return l, errLine
	}
	if l.seq, err = strconv.ParseUint(string(rest[:digits]), 10, 64); err != nil || rest[0] == '+' {
		return l, errLine
	}
	rest, ok = bytes.CutPrefix(rest[digits:], []byte(headPrev))
	if !ok || len(rest) < 64 {
		return l, errLine
	}
	if l.prev, ok = parseHash(string(rest[:64])); !ok {
		return l, errLine
	}
	rest, ok = bytes.CutPrefix(rest[64:], []byte(headEvent))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 1 || end > 32 || rest[len(rest)-1] != '}' {
		return l, errLine
	}
	l.event, l.hash = string(rest[:end]), sha256.Sum256(text)
	return l, nil
}

// control reads the fields of a record about the log itself.
func (l *line) control(text []byte) (c control, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, errLine
	}
	return c, nil
}
