//go:build !linux

package cluster

import "syscall"

// processAttributes has nothing to say where the kernel cannot end a process with its parent.
func processAttributes() *syscall.SysProcAttr { return nil }
