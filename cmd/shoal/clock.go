//go:build !faults

package main

import "time"

// clockVariable is no variable: the clock of this program cannot be set.
const clockVariable = ""

// clock is the wall clock of the parts.
func (environment) clock() (func() time.Time, error) { return time.Now, nil }
