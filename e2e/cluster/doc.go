// Package cluster runs the real program in processes of its own on loopback, for tests.
//
// A Process is one shoal server, node or gateway with its directory, ports and captured
// output. It can be started, killed, stopped and started again with the same data. The
// clients it hands out retry nothing, so that a test sees every outcome.
package cluster
