// Package e2e looks at the program from outside: real clients, kills, damage, races and
// mistakes of operators, against the built binary.
//
// What runs by default fits into make test. E2E_FULL=1 runs the sizes that an evening's
// user would meet; KILLS and FLIPS set the lengths of the crash and damage suites. With CI
// set, a client that is not installed is a failure instead of a skipped test.
package e2e
