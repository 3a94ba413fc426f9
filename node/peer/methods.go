package peer

import "shoal/p2p"

// Methods of the transport. Numbers are never reused. 48 to 63 belong to Raft.
const (
	methodPropose p2p.Method = 16
	methodQuery   p2p.Method = 17
	methodLookup  p2p.Method = 18
	methodPin     p2p.Method = 19
	methodSecret  p2p.Method = 20
	methodLayout  p2p.Method = 21
	methodAdmin   p2p.Method = 22
	methodAdd     p2p.Method = 23
	methodDrop    p2p.Method = 24
	methodStat    p2p.Method = 25
	methodHeal    p2p.Method = 26

	// MethodRenew asks a node for the caller's next credential; the answer's header is the credential.
	MethodRenew p2p.Method = 27

	methodClock     p2p.Method = 38
	methodMembers   p2p.Method = 39
	methodHave      p2p.Method = 28
	methodReplica   p2p.Method = 29
	methodStatuses  p2p.Method = 30
	methodBootstrap p2p.Method = 31

	methodRecall p2p.Method = 37
	methodDrops  p2p.Method = 64

	// 40 to 47 belong to package node.

	methodPutShard  p2p.Method = 32 | p2p.MethodBulk
	methodReadShard p2p.Method = 33 | p2p.MethodBulk
)
