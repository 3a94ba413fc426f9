package gateway

import (
	"math"
	"testing"

	"shoal/gateway/edge"
)

func TestConnectionsByOpenFiles(t *testing.T) {
	for files, want := range map[uint64]int{0: 0, 100: 64, 1024: 512, 16382: 8191, 16384: 0, math.MaxUint64: 0} {
		if c := (Config{OpenFiles: files}).withDefaults(); c.Limits.ConnectionsMax != want {
			t.Errorf("%d files: %d connections, want %d, where 0 is the default", files, c.Limits.ConnectionsMax, want)
		}
	}
	if c := (Config{OpenFiles: 1024, Limits: edge.Limits{ConnectionsMax: 700}}).withDefaults(); c.Limits.ConnectionsMax != 700 {
		t.Errorf("%d connections, 700 were asked for", c.Limits.ConnectionsMax)
	}
}
