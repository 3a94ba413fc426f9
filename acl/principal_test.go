package acl

import "testing"

// TestCanonicalID holds IDs that stored ACLs name.
func TestCanonicalID(t *testing.T) {
	for id, want := range map[string]string{
		"":           "",
		"root":       "76f0660ca2f1924988e8fdeee3c696edf09122334453f883fc5aee85bf835e1f",
		"user:alice": "75857eabf35db0620d22d505652b20bb99018929fa3f9f70a6a2d01bd433c971",
	} {
		if got := CanonicalID(id); got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
}
