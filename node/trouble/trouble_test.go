package trouble

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// rig is a log whose lines are taken, under a clock that is set by hand.
type rig struct {
	t   *testing.T
	out bytes.Buffer
	now time.Time
	*Log
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, now: time.Unix(1000, 0)}
	h := slog.NewTextHandler(&r.out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	r.Log = New(slog.New(h), func() time.Time { return r.now })
	return r
}

// want takes what was logged.
func (r *rig) want(lines ...string) {
	r.t.Helper()
	got := strings.Split(strings.TrimSuffix(r.out.String(), "\n"), "\n")
	if r.out.Len() == 0 {
		got = nil
	}
	r.out.Reset()
	if fmt.Sprint(got) != fmt.Sprint(lines) {
		r.t.Errorf("logged %q, want %q", got, lines)
	}
}

var errTest = errors.New("no")

func TestTrouble(t *testing.T) {
	r := newRig(t)
	r.Note(nil, "fetch", "1", "group", 1)
	r.want()
	r.Note(errTest, "fetch", "1", "group", 1)
	r.want(`level=WARN msg=fetch group=1 err=no`)
	for range 59 {
		r.now = r.now.Add(time.Second)
		r.Note(errTest, "fetch", "1", "group", 1)
	}
	r.want()
	r.Note(errTest, "fetch", "2", "group", 2) // another one
	r.want(`level=WARN msg=fetch group=2 err=no`)
	r.now = r.now.Add(time.Second)
	r.Note(errTest, "fetch", "1", "group", 1)
	r.want(`level=WARN msg=fetch group=1 failures=61 since=1970-01-01T00:16:40Z err=no`)
	r.now = r.now.Add(119 * time.Second)
	r.Note(errTest, "fetch", "1", "group", 1)
	r.want()
	r.now = r.now.Add(time.Second)
	r.Note(errTest, "fetch", "1", "group", 1)
	r.want(`level=WARN msg=fetch group=1 failures=63 since=1970-01-01T00:16:40Z err=no`)
	r.now = r.now.Add(time.Second)
	r.Note(nil, "fetch", "1", "group", 1)
	r.want(`level=INFO msg="fetch: it works again" group=1 failures=63 after=3m1s`)
	r.Note(nil, "fetch", "1", "group", 1)
	r.want()
	r.now = r.now.Add(time.Hour)
	r.Note(errTest, "fetch", "1", "group", 1) // begins anew
	r.want(`level=WARN msg=fetch group=1 err=no`)
}

// A day of failures each second is a page of log.
func TestTroubleOfADay(t *testing.T) {
	r := newRig(t)
	for range 24 * 3600 {
		r.now = r.now.Add(time.Second)
		r.Note(errTest, "fetch", "")
	}
	if n := strings.Count(r.out.String(), "\n"); n < 24 || n > 32 {
		t.Errorf("%d lines", n)
	}
}

// What comes and goes fills no log either, and its end is told only when its beginning was.
func TestTroubleThatFlaps(t *testing.T) {
	r := newRig(t)
	for range 3600 {
		r.now = r.now.Add(time.Second)
		r.Note(errTest, "fetch", "")
		r.Note(nil, "fetch", "")
	}
	begun, over := strings.Count(r.out.String(), "WARN"), strings.Count(r.out.String(), "INFO")
	if begun < 4 || begun > 12 || over != begun {
		t.Errorf("%d lines that it fails, %d that it works", begun, over)
	}
}

// What is kept of troubles is bounded.
func TestTroubleIsBounded(t *testing.T) {
	r := newRig(t)
	for i := range 2 * keysMax {
		r.Note(errTest, "fetch", fmt.Sprint(i), "group", i)
	}
	if len(r.spells) != keysMax {
		t.Errorf("%d troubles are kept", len(r.spells))
	}
	for i := range 2 * keysMax {
		r.Note(nil, "fetch", fmt.Sprint(i))
	}
	r.now = r.now.Add(time.Hour)
	if r.Note(errTest, "fetch", "new"); len(r.spells) != 1 {
		t.Errorf("%d troubles are kept when all are over", len(r.spells))
	}
}
