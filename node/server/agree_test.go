package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/p2p"
)

func voters(nodes ...consensus.NodeID) (out []consensus.Member) {
	for i, n := range nodes {
		out = append(out, consensus.Member{Replica: consensus.ReplicaID(i + 1), Node: n})
	}
	return out
}

// TestMajorityTime: a minority of clocks, however far ahead, moves nothing; a majority that is right does.
func TestMajorityTime(t *testing.T) {
	const right, ahead = 1000, 1 << 60
	for _, c := range []struct {
		name   string
		clocks []int64 // of a, b, c, …; 0 says nothing
		want   int64
	}{
		{"alone", []int64{right}, right},
		{"alone, silent", []int64{0}, 0},
		{"two", []int64{right, right + 5}, right},
		{"two, one ahead", []int64{ahead, right}, right},
		{"two, one silent", []int64{ahead, 0}, 0},
		{"three", []int64{right, right - 1, right + 1}, right},
		{"three, one ahead", []int64{ahead, right, right - 1}, right},
		{"three, one behind", []int64{1, right, right + 1}, right},
		{"three, one silent", []int64{right, right + 1, 0}, right},
		{"three, one ahead, one silent", []int64{ahead, right, 0}, right},
		{"three, two silent", []int64{ahead, 0, 0}, 0},
		{"five, two ahead", []int64{ahead, ahead, right, right + 1, right - 1}, right + 1},
		{"five, two silent", []int64{ahead, 0, right, right + 1, 0}, right},
		{"five, three silent", []int64{ahead, ahead, 0, 0, 0}, 0},
		{"before 1970", []int64{-5}, 0},
		{"nobody", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			names := []consensus.NodeID{"a", "b", "c", "d", "e"}[:len(c.clocks)]
			clocks := map[consensus.NodeID]int64{}
			for i, at := range c.clocks {
				if at != 0 {
					clocks[names[i]] = at
				}
			}
			if got := majorityTime(clocks, voters(names...)); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func TestReadClocks(t *testing.T) {
	asked := make(chan p2p.NodeID, 10)
	s := New(Config{
		Self: "a", Now: func() time.Time { return time.Unix(0, 7) },
		Clock: func(_ context.Context, n p2p.NodeID) (time.Time, error) {
			asked <- n
			if n == "c" {
				return time.Time{}, errors.New("cut off")
			}
			return time.Unix(0, 8), nil
		},
	})
	got := s.readClocks(t.Context(), voters("a", "b", "c"), voters("b", "a"))
	if len(got) != 2 || got["a"] != 7 || got["b"] != 8 {
		t.Errorf("%v", got)
	}
	if len(asked) != 2 {
		t.Errorf("%d questions, want one to each of the others", len(asked))
	}
}

// TestEndsLocks: whatever the state machine checks a lock for comes with an agreed time, and what it does not costs
// nothing.
func TestEndsLocks(t *testing.T) {
	for name, c := range map[string]struct {
		cmd  *meta.Command
		want bool
	}{
		"version": {&meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: &meta.DeleteObjects{Items: []*meta.DeleteItem{{}, {Version: make([]byte, 16)}}}}}, true},
		"null":    {&meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: &meta.DeleteObjects{Items: []*meta.DeleteItem{{NullVersion: true}}}}}, true},
		"current": {&meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: &meta.DeleteObjects{Items: []*meta.DeleteItem{{}}}}}, false},
		"retention": {&meta.Command{Op: &meta.Command_AlterVersion{AlterVersion: &meta.AlterVersion{
			Change: &meta.AlterVersion_Retention{Retention: &meta.Lock{}}}}}, true},
		"tags":   {&meta.Command{Op: &meta.Command_AlterVersion{AlterVersion: &meta.AlterVersion{Change: &meta.AlterVersion_Tags{}}}}, false},
		"rename": {&meta.Command{Op: &meta.Command_RenameObject{RenameObject: &meta.RenameObject{}}}, true},
		"put":    {&meta.Command{Op: &meta.Command_PutVersion{PutVersion: &meta.PutVersion{}}}, false},
	} {
		if got := endsLocks(c.cmd); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
