package p2p_test

import (
	"testing"
	"time"

	"shoal/p2p"
)

func TestUntilRound(t *testing.T) {
	whole := time.Unix(1_700_000_000, 0)
	for name, tc := range map[string]struct{ now, want time.Time }{
		"at a round":     {whole, whole.Add(time.Second)},
		"just after one": {whole.Add(1), whole.Add(time.Second)},
		"just before":    {whole.Add(time.Second - 1), whole.Add(time.Second)},
	} {
		if got := tc.now.Add(p2p.UntilRound(tc.now, time.Second)); !got.Equal(tc.want) {
			t.Errorf("%s: the next round is at %v, want %v", name, got, tc.want)
		}
	}
}
