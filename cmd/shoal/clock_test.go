//go:build !faults

package main

import (
	"strings"
	"testing"
)

// TestNoWrongClock: the program that is released refuses what would make its clock wrong.
func TestNoWrongClock(t *testing.T) {
	if _, err := loaded(t, partServer, "", []string{"SHOAL_TEST_CLOCK=/dev/null"}, nil); err == nil || !strings.Contains(err.Error(), "SHOAL_TEST_CLOCK") {
		t.Errorf("the variable is taken: %v", err)
	}
}
