package api

import "crypto/ed25519"

// Witnesses are the other members of the cluster, who keep what this process says that its logs have come to:
// whoever changes the logs afterwards, on this machine, cannot change what they have heard.
type Witnesses interface {
	// Self is this process's peer ID.
	Self() string
	// Sign signs with this process's identity. The message begins with what it is for.
	Sign(message []byte) []byte
	// KeyOf is the key that a peer ID names.
	KeyOf(peerID string) (ed25519.PublicKey, error)
	// Tell spreads a text of at most 1,024 bytes among the members. Who is away does not hear it.
	Tell(text []byte) error
	// Listen has f called with the texts of other members from now on, one at a time. f must not block,
	// nor keep the text. It is called once.
	Listen(f func(from string, text []byte))
}
