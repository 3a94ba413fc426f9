package network

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestNextStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "starts")
	log := slog.New(slog.DiscardHandler)
	noon := time.UnixMilli(1_800_000_000_000)
	write := func(text string) func() {
		return func() {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		name   string
		before func()
		now    time.Time
		want   uint64
	}{
		{"the first", func() {}, noon, 1_800_000_000_000},
		{"later", func() {}, noon.Add(time.Second), 1_800_000_001_000},
		{"in the same millisecond", func() {}, noon.Add(time.Second), 1_800_000_001_001},
		{"the clock went back", func() {}, noon.Add(-10 * time.Minute), 1_800_000_001_002},
		{"the clock went back behind 1970", func() {}, time.Unix(-5, 0), 1_800_000_001_003},
		{"damaged", write("shoal-start-1 x\n"), noon, 1_800_000_000_000},
		{"too high to be true", write("shoal-start-1 18446744073709551615\n"), noon, 1_800_000_000_000},
		{"of a later release", write("shoal-start-2 1900000000000\n"), noon, 1_800_000_000_000},
		{"empty", write(""), noon, 1_800_000_000_000},
	} {
		step.before()
		if got := nextStart(path, step.now, log); got != step.want {
			t.Errorf("%s: %d, want %d", step.name, got, step.want)
		}
	}
	if got := nextStart("", noon, log); got != 1_800_000_000_000 {
		t.Errorf("without a file: %d", got)
	}
	if got := nextStart(filepath.Join(path, "below a file"), noon, log); got != 1_800_000_000_000 {
		t.Errorf("where no file can be: %d", got)
	}
}
