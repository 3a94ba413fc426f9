package client

import (
	"crypto/rand"

	"shoal/chunker/checksum"
	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/meta"
)

// under gives the key that seals content: the data key, or what a customer's key makes of it.
func under(dek envelope.DEK, key *api.CustomerKey) envelope.DEK {
	if key == nil {
		return dek
	}
	return dek.Under(key.Key)
}

// etagOf is the ETag of bytes: their MD5, or with a customer's key nothing that tells of them
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html, ETag).
func etagOf(sums *checksum.Sums, key *api.CustomerKey) [16]byte {
	if key == nil {
		return sums.MD5
	}
	var etag [16]byte
	rand.Read(etag[:]) // Never fails: the runtime stops the process when there is no randomness.
	return etag
}

// metadataOf encodes metadata with the check of the key that the content is sealed under.
func metadataOf(m api.Metadata, key *api.CustomerKey) []byte {
	m.KeyCheck = nil
	if key != nil {
		m.KeyCheck = key.Check()
	}
	return meta.AppendMetadata(nil, &m)
}

// sameKey tells whether two keys, or their absence, are the same.
func sameKey(a, b *api.CustomerKey) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}
