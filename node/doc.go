// Package node builds a node from its parts and owns their lives: identity and keys, drives,
// metadata groups, the transport to other members, the server that answers them, the client that a
// gateway in the same process uses, and the repair workers.
//
// The order at the first start is such that a crash anywhere is taken up where it was: the data
// directory's description (node.json) is durable before a drive is formatted, the root credential's
// file before the credential exists in the system group, and only after the system group has
// everything the directory is marked as ready. From then on whatever is missing is an error and is
// never made anew.
package node
