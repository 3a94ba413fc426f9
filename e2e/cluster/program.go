package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is the path of the built binary. Main sets it before any test runs.
var program string

// Main builds the program once, runs the tests and gives their exit code. It belongs in a
// TestMain. E2E_PROGRAM names a program to use as it is; E2E_RACE=1 builds with the race
// detector.
func Main(m *testing.M) int {
	if program = os.Getenv("E2E_PROGRAM"); program != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "shoal-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "shoal")
	args := []string{"build", "-trimpath", "-o", program}
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
