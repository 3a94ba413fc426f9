package cluster

import (
	"os"
	"path/filepath"
	"testing"
)

func TestVolume(t *testing.T) {
	Need(t, CanMount())
	v := NewVolume(t, 64<<20)
	name := filepath.Join(v.Drive(), "file")
	write := func(text string) error {
		if err := os.MkdirAll(v.Drive(), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			return err
		}
		return f.Sync()
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(write("synced"))
	must(v.Fill())
	if err := os.WriteFile(name+"2", make([]byte, 1<<20), 0o600); !isFull(err) {
		t.Errorf("a write to a full volume: %v", err)
	}
	must(v.Clear())
	must(write("synced again"))
	must(v.Break())
	if err := write("lost"); err == nil {
		t.Error("a broken volume takes writes")
	}
	must(v.Replace())
	if text, err := os.ReadFile(name); err != nil || string(text) != "synced again" {
		t.Errorf("after the break: %q, %v", text, err)
	}
}
