// Package bench measures the program: rate, latency, processor time and memory for objects
// of several sizes and numbers of clients, beside what the machine could do at most in the
// same run.
//
// make bench runs it at length and prints one table. As a plain test it runs each workload
// for a moment, so that it stays in order. Nothing is asserted about speed: on a shared
// machine only ratios within one run mean something.
package bench
