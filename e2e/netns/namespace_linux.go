package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// enter runs f on a thread that stands in the network namespace of that name: sockets
// made there and processes started there belong to it. It is short work only, for the
// thread serves nothing else meanwhile. An empty name is where this process stands.
func enter(namespace string, f func() error) (err error) {
	if namespace == "" {
		return f()
	}
	target, err := os.Open(filepath.Join(namespaceDir, namespace))
	if err != nil {
		return err
	}
	defer target.Close()
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %s: %w", namespace, err)
	}
	defer func() {
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			// The thread stays locked, so that nothing else ever runs on it.
			err = errors.Join(err, fmt.Errorf("leave network namespace %s: %w", namespace, back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}
