package audit_test

import (
	"reflect"
	"strings"
	"testing"

	"shoal/gateway/audit"
)

// TestUnresolved: what the processes before have begun, and have no outcome of, is found in all files, and nothing else.
func TestUnresolved(t *testing.T) {
	dir := t.TempDir()
	open := func() *audit.Log {
		t.Helper()
		l, err := audit.Open(audit.Config{Dir: dir, Name: audit.ActLog, Writer: "peer", FileBytesMax: 2000})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	begin := func(l *audit.Log, target string) *audit.Act {
		t.Helper()
		a := &audit.Act{
			Time: someTime.UTC(), RemoteAddr: "192.0.2.1:5", User: "root", AccessKeyID: "ID", RequestID: "R", Kind: audit.OnPolicy, Operation: "O", Target: target, VersionID: "v",
			Before: "before " + target, Bypass: true,
		}
		if err := l.Begin(a, "request"); err != nil || len(a.Intent) != 32 {
			t.Fatal(a.Intent, err)
		}
		return a
	}
	add := func(l *audit.Log, e audit.Entry) {
		t.Helper()
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	unresolved := func(l *audit.Log, want ...*audit.Act) {
		t.Helper()
		got, err := l.Unresolved(t.Context())
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d intents, %v: %+v", len(got), err, got)
		}
		for i := range want {
			if w := (audit.Intent{Act: *want[i], Request: "request"}); !reflect.DeepEqual(got[i], w) {
				t.Errorf("%+v, want %+v", got[i], w)
			}
		}
	}
	first := open()
	lost := begin(first, "lost")
	var padding []*audit.Act
	for range 20 { // several files
		padding = append(padding, begin(first, strings.Repeat("x", 100)))
	}
	for _, a := range padding {
		add(first, a)
	}
	add(first, &audit.Refusal{Time: someTime, Intent: begin(first, "refused").Intent, ErrorCode: "NoSuchBucket"})
	unresolved(first)                       // its own are under way
	if err := first.Discard(); err != nil { // as a crash does
		t.Fatal(err)
	}
	second := open()
	begin(second, "under way")
	unresolved(second, lost)
	if r := verify(t, verifyOptions(dir)); !r.Whole() || r.Chains[0].Open != 2 || r.Chains[0].Files < 3 {
		t.Errorf("%+v", r)
	}
	done := *lost
	done.Failed, done.After = "OutcomeUnknown", "now"
	add(second, &done)
	unresolved(second)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third := open()
	if got, err := third.Unresolved(t.Context()); err != nil || len(got) != 1 || got[0].Target != "under way" {
		t.Errorf("after a stop: %+v, %v", got, err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
}
