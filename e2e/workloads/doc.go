// Package workloads runs what applications build on conditional writes: a lock with fencing tokens, a write-ahead log
// and a register that many increment at once. They are raced through two gateways while processes are killed, and
// hold what they promise: never two holders, never a lost entry, never a lost increment.
package workloads
