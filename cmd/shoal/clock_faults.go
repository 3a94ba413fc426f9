//go:build faults

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// clockVariable names a file with a duration, such as 10m or -10m, by which the wall clock of this
// program is wrong. The file may change while the program runs; without it the clock is right. Only a
// program that is built to be tested under faults has this.
const clockVariable = envPrefix + "TEST_CLOCK"

// clockEvery is how often the file is read, at most.
const clockEvery = 20 * time.Millisecond

// clock is the wall clock of the parts.
func (e environment) clock() (func() time.Time, error) {
	path := e.lookup(clockVariable)
	if path == "" {
		return time.Now, nil
	}
	c := &wrongClock{path: path}
	if err := checkShift(); err != nil {
		return nil, err
	}
	if _, err := readShift(path); err != nil {
		return nil, err
	}
	return c.now, nil
}

// wrongClock is a wall clock that is off by what its file says.
type wrongClock struct {
	path string

	mu    sync.Mutex // guards what follows
	read  time.Time
	shift time.Duration
}

func (c *wrongClock) now() time.Time {
	t := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Sub(c.read) > clockEvery {
		// A file that cannot be read leaves the clock as it was.
		if shift, err := readShift(c.path); err == nil {
			c.shift = shift
		}
		c.read = t
	}
	return shifted(t, c.shift)
}

func readShift(path string) (time.Duration, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(strings.TrimSpace(string(text)))
}

// Layout of a time that holds a monotonic reading: a flag, seconds since 1885, nanoseconds.
const (
	monotonicFlag = 1 << 63
	secondsShift  = 30
)

// shifted is a time whose wall clock differs by whole seconds, and whose monotonic reading does not,
// as when somebody sets the clock of a machine. Package time has no way to say that.
func shifted(t time.Time, by time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t))
	if *wall&monotonicFlag != 0 {
		*wall += uint64(int64(by/time.Second) << secondsShift)
	}
	return t
}

// checkShift says whether shifted does what it should with this release of Go.
func checkShift() error {
	t := time.Now()
	for _, by := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute} {
		u := shifted(t, by)
		if wall, passed := u.Round(0).Sub(t.Round(0)), u.Sub(t); wall != by || passed != 0 {
			return fmt.Errorf("a clock that is off by %v shows %v, and %v seem to have passed: times look different in this release of Go", by, wall, passed)
		}
	}
	return nil
}
