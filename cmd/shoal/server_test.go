package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// life is a part under supervision: it ends some time after it is told to, or by itself.
type life struct {
	lag   time.Duration // between the end of its context and its own
	fails error         // at once, instead of waiting to be told
	ended time.Time
}

func (l *life) run(ctx context.Context) error {
	if l.fails != nil {
		return l.fails
	}
	<-ctx.Done()
	<-time.After(l.lag)
	l.ended = time.Now()
	return ctx.Err()
}

func TestSupervise(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name           string
		gateway, below life
		stop           bool // the process is told to stop
		says           string
		takes          time.Duration
	}{
		{"stops in order", life{lag: 3 * time.Second}, life{lag: 2 * time.Second}, true, "", 5 * time.Second},
		{"gateway fails", life{fails: broken}, life{lag: time.Second}, false, "broken", time.Second},
		{"store fails", life{lag: time.Second}, life{fails: broken}, false, "broken", time.Second},
		{"gateway hangs", life{lag: time.Hour}, life{}, true, "grace time of 20s", 20 * time.Second},
		{"store hangs", life{lag: 3 * time.Second}, life{lag: time.Hour}, true, "grace time of 20s", 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began := time.Now()
				if c.stop {
					cancel()
				}
				p := &process{settings: &settings{grace: 20 * time.Second}}
				err := p.supervise(ctx, c.gateway.run, c.below.run)
				if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v, want %q", err, c.says)
				}
				if took := time.Since(began); took != c.takes {
					t.Errorf("it took %v, want %v", took, c.takes)
				}
				if c.says == "" && !c.below.ended.After(c.gateway.ended) {
					t.Error("the store ended before the gateway had drained")
				}
				// What was left behind ends with the bubble.
				<-time.After(2 * time.Hour)
			})
		})
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"/a/b": "/a/b", "/a b": "'/a b'", "/it's": `'/it'\''s'`, "/$x": "'/$x'"} {
		if got := quote(in); got != want {
			t.Errorf("%s is quoted %s, want %s", in, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	err := errors.Join(errors.New("one"), errors.New("two\r\n  three"))
	if got := oneLine(err); got != "one; two; three" {
		t.Errorf("%q", got)
	}
}
