package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slackReport, set in the environment, has the test's program tell of its slack.
const slackReport = "SHOAL_TEST_SLACK"

// TestMain is the tests, or, for TestSlackenTimers, a program that calls slackenTimers first as
// main does, and says its process ID and the slack of several of its threads.
func TestMain(m *testing.M) {
	if os.Getenv(slackReport) == "" {
		os.Exit(m.Run())
	}
	slackenTimers()
	const threads = 8
	slacks := make([]time.Duration, threads)
	var all, here sync.WaitGroup
	here.Add(threads)
	for i := range threads {
		all.Go(func() {
			runtime.LockOSThread()
			slacks[i] = slackHere()
			here.Done()
			here.Wait() // so that each has a thread of its own
		})
	}
	all.Wait()
	fmt.Println(os.Getpid(), slacks)
}

// The runtime's own threads are older than main: the program has to be started again, as the same process, once.
func TestSlackenTimers(t *testing.T) {
	runtime.LockOSThread() // the program begins with the slack of this thread, whatever that of the tests is
	defer runtime.UnlockOSThread()
	was := slackHere()
	if was == 0 {
		skip := t.Skip
		if os.Getenv("CI") != "" {
			skip = t.Fatal
		}
		skip("this thread has real-time priority, or the kernel knows no slack")
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack/20), 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(was), 0, 0, 0)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), slackReport+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid, slacks, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
	if pid != strconv.Itoa(cmd.Process.Pid) {
		t.Errorf("process %s says so, process %d was started", pid, cmd.Process.Pid)
	}
	if want := "[" + strings.TrimSpace(strings.Repeat(" 1ms", 8)) + "]"; slacks != want {
		t.Errorf("the slack of its threads is %s, not %s", slacks, want)
	}
}
