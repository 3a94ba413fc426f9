//go:build !linux

package main

// slackenTimers does nothing: no other system lets a process say so.
func slackenTimers() {}
