// Package peer is what a member asks of a node: metadata commands and queries, shards, pins, secrets
// and the layout. Node is the contract. A node's own server implements it directly, Remote does over
// a p2p.Transport, and Serve answers a Remote's messages from any Node. A gateway that lives in the
// node's process is given the server itself, so that nothing is encoded on the way.
//
// Errors are those of package api, on both sides of the network. A call that was sent and got no
// answer has the kind OutcomeUnknown when it could have changed something, else Unavailable.
package peer

//go:generate protoc --go_out=. --go_opt=paths=source_relative peer.proto
