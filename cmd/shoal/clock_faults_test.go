//go:build faults

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWrongClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	now, err := environment{vars: []string{clockVariable + "=" + path}}.clock()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		text string
		want time.Duration
	}{{"", 0}, {"10m\n", 10 * time.Minute}, {"-10m", -10 * time.Minute}, {"nonsense", -10 * time.Minute}, {"0s", 0}} {
		if step.text != "" {
			if err := os.WriteFile(path, []byte(step.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		began, last := time.Now(), now()
		for time.Since(began) < 2*clockEvery {
			last = now()
		}
		if off := last.Round(0).Sub(time.Now().Round(0)).Round(time.Second); off != step.want {
			t.Errorf("%q: the clock is off by %v, want %v", step.text, off, step.want)
		}
		if passed := last.Sub(began); passed < 0 || passed > time.Minute {
			t.Errorf("%q: %v have passed", step.text, passed)
		}
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (environment{vars: []string{clockVariable + "=" + path}}).clock(); err == nil {
		t.Error("a file with nonsense is taken at the start")
	}
}
