// Command bench measures shoal on this machine and prints one table.
//
// It starts the real program on a fresh data directory on loopback, loads it with clients
// of its own, and sets beside the results what the machine can do at all (the floors),
// measured in the same run. Figures of a busy machine mean little by themselves: the
// ratio to a floor and processor seconds hold, and each row says how much of the machine
// others took meanwhile.
//
// Of a cluster it also measures how soon a write gets through after a leader was killed, and
// how fast a lost node is made again beside copying as much over the transport, while a
// client reads.
//
// The load generator is small on purpose, for client and server share the processors: it
// knows all digests before the clock starts, sends bodies out of one pool without a copy,
// and compares what it reads with that pool. Every byte read is checked.
//
// It loads loopback addresses only, ends every process that it started, and exits with 1
// when an operation failed. A target that is missed is not a failure; it is in the table.
package main
