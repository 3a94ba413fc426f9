package e2e

import (
	"testing"
	"time"
)

// eventually asks again and again until there is no error or the time is up.
func eventually(t *testing.T, within time.Duration, ask func() error) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("after %v: %v", within, err)
		}
	}
}
