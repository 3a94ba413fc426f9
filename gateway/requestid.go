package gateway

import (
	crand "crypto/rand"
	"encoding/base64"
	"math/rand/v2"
)

// requestIDBytes is the length of a request ID, 5 bits in each.
const requestIDBytes = 16

// base32Digits is the extended hex alphabet of RFC 4648.
const base32Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUV"

// newRequestID makes the name of one request. It must not repeat, but need not be
// hard to guess.
func newRequestID() string {
	var id [requestIDBytes]byte
	a, b := rand.Uint64(), rand.Uint64()
	for i := range id {
		if i == requestIDBytes/2 {
			a = b
		}
		id[i] = base32Digits[a&31]
		a >>= 5
	}
	return string(id[:])
}

// newHostID names this gateway process in answers (x-amz-id-2).
func newHostID() string {
	var raw [30]byte
	crand.Read(raw[:])
	return base64.StdEncoding.EncodeToString(raw[:])
}
