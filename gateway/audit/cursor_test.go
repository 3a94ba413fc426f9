package audit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/gateway/audit"
)

const testChain = "0123456789abcdef0123456789abcdef"

// TestGoldenTargets: this release writes cursors and what the log says of targets as they are kept here, and reads
// those.
func TestGoldenTargets(t *testing.T) {
	lines := audit.Lines(
		audit.FileNote(someTime, "access", testWriter, testChain, "v1"),
		audit.SkippedNote(someTime, "siem", "full", testChain, 7, 99),
		audit.SkippedNote(someTime, "siem", "gone", testChain, 100, 0),
		audit.RefusedNote(someTime, 3),
	)
	first := bytes.SplitAfter(lines, []byte("\n"))[1]
	cursor := audit.CursorText("siem", "access", testChain, audit.Before(first), 12345)
	for name, text := range map[string][]byte{"targets.jsonl": lines, filepath.Join(audit.TargetDir, "siem.access.cursor"): cursor} {
		path := filepath.Join("testdata", "v1-targets", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(golden, text) {
			t.Errorf("%s is written as\n%s", name, text)
		}
	}
	chain, at, offset, err := audit.CursorOf(cursor, "siem", "access")
	if chain != testChain || at != audit.Before(first) || offset != 12345 || err != nil {
		t.Errorf("read as %s %v %d %v", chain, at, offset, err)
	}
	r := verify(t, &audit.VerifyOptions{Paths: []string{filepath.Join("testdata", "v1-targets", "targets.jsonl")}, KeyOf: keyOf, Partial: true})
	if !r.Whole() {
		t.Errorf("found %+v", r)
	}
}

// FuzzCursor: what is read as a cursor is written as the same bytes, and any other bytes are none.
func FuzzCursor(f *testing.F) {
	good := audit.CursorText("siem", "access", testChain, audit.Position{}, 5)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(bytes.Replace(good, []byte("5"), []byte("6"), 1))
	f.Add([]byte(strings.Repeat("\n", 10)))
	f.Fuzz(func(t *testing.T, text []byte) {
		chain, at, offset, err := audit.CursorOf(text, "siem", "access")
		if err == nil && !bytes.Equal(audit.CursorText("siem", "access", chain, at, offset), text) {
			t.Errorf("%q was read", text)
		}
	})
}
