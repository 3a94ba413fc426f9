package audit

import (
	"bytes"
	"crypto/ed25519"
	"time"
)

// Line gives an entry as the first line of a chain.
func Line(e Entry) []byte {
	var p Position
	return appendLine(nil, &p, appendBody(nil, e))
}

// Position is how far a chain has come.
type Position = position

// Before is the position that a line follows on.
func Before(text []byte) Position {
	l, err := parseLine(text[:len(text)-1])
	if err != nil {
		panic(err)
	}
	return position{l.seq - 1, l.prev}
}

// Rechain puts the record of a line behind another position.
func Rechain(p *Position, text []byte) []byte {
	head := len(headFormat) + len(headPrev) + 64 + len(headEvent)
	for i := len(headFormat); text[i] != ','; i++ {
		head++
	}
	return appendLine(nil, p, text[head:len(text)-1])
}

// Message is what of a checkpoint is signed.
func Message(c *Checkpoint) []byte { return c.message() }

// Lines gives entries as a chain.
func Lines(entries ...Entry) (text []byte) {
	var p Position
	for _, e := range entries {
		text = appendLine(text, &p, appendBody(nil, e))
	}
	return text
}

// FileNote, StartNote and ShedNote are records about the log.
func FileNote(at time.Time, log, writer, chain, release string) Entry {
	return &note{kind: eventFile, control: control{Time: at, Log: log, Writer: writer, Chain: chain, Release: release}}
}

func StartNote(at time.Time, release, after string) Entry {
	return &note{kind: eventStart, control: control{Time: at, Release: release, After: after}}
}

func ShedNote(at time.Time, records int64, since string) Entry {
	return &note{kind: eventShed, control: control{Time: at, Records: records, Since: since}}
}

// PointOf is the checkpoint at the end of some lines.
func PointOf(lines []byte, writer, log, chain string, at time.Time, key ed25519.PrivateKey) *Checkpoint {
	last := lines[bytes.LastIndexByte(lines[:len(lines)-1], '\n')+1 : len(lines)-1]
	l, err := parseLine(last)
	if err != nil {
		panic(err)
	}
	c := &Checkpoint{Writer: writer, Log: log, Chain: chain, Seq: l.seq, Hash: l.hash.String(), Time: at}
	c.Signature = ed25519.Sign(key, c.message())
	return c
}

// CursorText is a cursor as it stands on disk, and what is read of it again.
func CursorText(target, log, chain string, p Position, offset int64) []byte {
	return (&cursor{chain, p, offset}).format(target, log)
}

// CursorOf reads a cursor, and gives its parts.
func CursorOf(text []byte, target, log string) (chain string, p Position, offset int64, err error) {
	c, err := parseCursor(text, target, log)
	return c.chain, c.position, c.offset, err
}

// SkippedNote and RefusedNote are further records about the log.
func SkippedNote(at time.Time, target, reason, chain string, first, last uint64) Entry {
	q := &queue{cfg: TargetConfig{Name: target}, log: &Log{cfg: Config{Now: func() time.Time { return at }}}}
	return q.skipped(reason, chain, first, last)
}

func RefusedNote(at time.Time, requests int) Entry {
	l := &Log{cfg: Config{Now: func() time.Time { return at }}}
	for range requests {
		l.Refused()
	}
	return l.takeRefused()
}
