// Package consensus replicates many Raft groups on one node.
//
// It drives the Raft core of go.etcd.io/raft (RawNode, asynchronous storage writes) for every group that has a replica here, keeps
// the logs and the state of all groups in one Pebble database, and makes whatever all groups have ready durable with one fsync.
//
// # Core and driver
//
// The core (core.go, group.go, append.go, apply.go and the files they lean on) consists of step functions over explicit queues: StepGroup
// turns messages, proposals, reads, ticks and storage answers into work; StepAppend writes logs; StepApply runs the state machine. It has no
// goroutine, no clock, no lock and no randomness of its own, so a whole cluster of cores can be replayed from a seed. The driver (host.go,
// driver.go) owns the goroutines: step workers, one append loop, one apply loop, one ticker.
//
// # Invariants
//
//   - A proposal is acknowledged only after a quorum of voters has its entry behind an fsync and it is applied here.
//   - Log and state share one write-ahead log; what deletes a part of the log is written after the state that makes it superfluous, so
//     whatever prefix a power loss leaves is consistent.
//   - Every batch of log writes carries a rising number. A side file beside the database names the last number known to be
//     durable; a database that opens with a lower one has lost acknowledged writes and is refused with ErrLogLost.
//   - A replica ID is used once. A replica that was removed leaves a tombstone and never votes again.
//   - No replica comes to life because a message names it; only Bootstrap and CreateReplica make one.
//   - After a failed fsync nothing is written again: Run returns the error and the process has to end.
//
// # What it leaves out
//
// It decides nothing about who should be a member (node/controller does), knows no peers but by name (Link carries frames), and
// grants no leases: every read is confirmed by a quorum or by being the only voter.
package consensus
