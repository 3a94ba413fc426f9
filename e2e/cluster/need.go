package cluster

import (
	"os"
	"testing"
)

// Need skips the test for a reason why it cannot run here, and fails it where CI is set. No
// reason: it runs.
func Need(t testing.TB, reasons ...error) {
	t.Helper()
	for _, reason := range reasons {
		if reason == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
}
