package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// program is the path of the built binary. Main sets it before any test runs.
var program string

// clocks says whether the clock of the program can be wrong.
var clocks bool

// CanShiftClocks is nil where SetClock works, else it says what is missing.
func CanShiftClocks() error {
	if !clocks {
		return errors.New("the program was built without the tag " + faultsTag)
	}
	return nil
}

// faultsTag is the build tag with which the program has a clock that can be wrong.
const faultsTag = "faults"

// Main builds the program once, runs the tests and gives their exit code. It belongs in a
// TestMain. Build tags may be given, such as faults. E2E_PROGRAM names a program to use as it
// is, and E2E_TAGS the tags with which it was built; E2E_RACE=1 builds with the race detector.
func Main(m *testing.M, tags ...string) int {
	if program = os.Getenv("E2E_PROGRAM"); program != "" {
		clocks = slices.Contains(strings.Split(os.Getenv("E2E_TAGS"), ","), faultsTag)
		return m.Run()
	}
	clocks = slices.Contains(tags, faultsTag)
	dir, err := os.MkdirTemp("", "shoal-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "shoal")
	args := []string{"build", "-trimpath", "-tags", strings.Join(tags, ","), "-o", program}
	cgo := "CGO_ENABLED=0"
	if os.Getenv("E2E_RACE") != "" {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "shoal/cmd/shoal")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// cleanEnv is the environment of this process without what would configure the program
// or an AWS client by accident.
func cleanEnv() []string {
	var kept []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SHOAL_") && !strings.HasPrefix(v, "AWS_") {
			kept = append(kept, v)
		}
	}
	return kept
}
