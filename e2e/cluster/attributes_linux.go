package cluster

import "syscall"

// processAttributes lets the kernel end a process with the test that started it, should
// the test be killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
