// Package envelope seals chunks under a data key (DEK), wraps data keys under a cluster key (KEK)
// and seals cluster keys and other secrets under the root key. All of it is AES-256-GCM.
//
// A DEK is drawn at random for each upload stream and seals nothing but the chunks of that stream.
// A chunk is sealed in frames of the length that the stream's Framing says, each with its own tag, so that a range
// read opens only the frames it touches. The nonce of a frame is the chunk's index in the stream and
// the frame's number in the chunk; the associated data is the format and the chunk's plaintext
// length. A frame therefore opens only at its own place of a chunk of its own length in its own
// stream: frames that are reordered, cut off, repeated or taken from elsewhere fail.
//
// # Why no nonce repeats
//
// GCM is broken by two different messages under one key and nonce. A DEK comes from NewDEK alone and
// belongs to one stream of one writer; the writer counts its chunks up from 0, as 32 bits, and a
// chunk's frames from 0, so each pair occurs once. Two rules are the caller's: an index is sealed
// once (a retry sends the sealed bytes again, or seals them anew under a new DEK), and a stream that
// is given up is never continued after a restart (a DEK lives in memory until the version that wraps
// it is committed). Chunks that hold manifest nodes belong to a stream of their own or take indices
// that the data has not used. The largest object, 5 TiB, uses 2^21 indices and encrypts 2^39 blocks
// under its key, where GCM loses 2^-51 of its secrecy.
//
// A KEK and the root key seal many messages, chosen by many processes that keep no common count. So
// each message gets a key of its own, derived from 24 random bytes that are stored with it; the
// nonce under that key is 0. Two messages share a key only if their 24 bytes agree, which 2^64
// messages under one KEK do with a probability of 2^-65.
package envelope
