package server

import (
	"testing"

	"shoal/node/api"
	"shoal/node/meta"
)

// TestRefuseGrowth: while there is little room, what needs some is refused, and what gives some back or protects a
// version is not.
func TestRefuseGrowth(t *testing.T) {
	full := true
	s := New(Config{Full: func() bool { return full }})
	for name, c := range map[string]struct {
		cmd   *meta.Command
		grows bool
	}{
		"put":      {&meta.Command{Op: &meta.Command_PutVersion{PutVersion: &meta.PutVersion{}}}, true},
		"tags":     {&meta.Command{Op: &meta.Command_AlterVersion{AlterVersion: &meta.AlterVersion{Change: &meta.AlterVersion_Tags{Tags: []byte("t")}}}}, true},
		"no tags":  {&meta.Command{Op: &meta.Command_AlterVersion{AlterVersion: &meta.AlterVersion{Change: &meta.AlterVersion_Tags{}}}}, false},
		"hold":     {&meta.Command{Op: &meta.Command_AlterVersion{AlterVersion: &meta.AlterVersion{Change: &meta.AlterVersion_LegalHold{LegalHold: true}}}}, false},
		"deletion": {&meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: &meta.DeleteObjects{}}}, false},
	} {
		full = true
		err := s.refuseGrowth(c.cmd)
		if (err != nil) != c.grows || err != nil && api.KindOf(err) != api.StorageFull {
			t.Errorf("%s: %v", name, err)
		}
		full = false
		if err := s.refuseGrowth(c.cmd); err != nil {
			t.Errorf("%s with room: %v", name, err)
		}
	}
}
