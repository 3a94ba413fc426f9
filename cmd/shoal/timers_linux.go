package main

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is by how much the kernel may let a timer of the process come late, so as to
// serve it with another (prctl(2), PR_SET_TIMERSLACK; 50 us unless set). Nothing here waits
// for less than some milliseconds, but the Go runtime looks every 20 us for threads that a
// call to the kernel holds, for as long as there are any.
const timerSlack = time.Millisecond

// slackenTimers gives the process timerSlack. A thread has the slack of the one that made
// it, and those of the runtime are there before main: so the program starts itself again,
// once, with the same process ID. Where that cannot be, it goes on with what it has.
// To be called before anything is opened or signals are asked for.
func slackenTimers() {
	runtime.LockOSThread() // the slack is the thread's, and execve(2) takes over that of the caller
	defer runtime.UnlockOSThread()
	if slackHere() >= timerSlack {
		return
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	// A process with real-time priority is without slack, and its call is without effect.
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) != nil || slackHere() < timerSlack {
		return
	}
	_ = syscall.Exec(program, os.Args, os.Environ()) // comes back with an error alone
}

// slackHere is the slack of the calling thread, 0 where the kernel does not say.
func slackHere() time.Duration {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0
	}
	return time.Duration(ns)
}
