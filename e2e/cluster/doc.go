// Package cluster runs the real program in processes of its own, for tests: one process,
// or a Cluster of nodes and gateways that are one store.
//
// A Process is one shoal server, node or gateway with its directory, addresses and captured
// output. It can be started, killed, paused, stopped and started again with the same data.
// The clients it hands out retry nothing, so that a test sees every outcome.
//
// Processes stand on loopback with ports of their own, or each on a host of a network
// (netns), where packets between any of them can be dropped. Clients and the operator's tool
// enter the namespace of the process that they speak to, so that no fault of the network lies
// between a test and what it asks. A Volume is a drive that can be filled or broken.
package cluster
