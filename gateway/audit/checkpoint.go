package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Checkpoint says how far a chain had come. Who keeps it can tell later whether the records up to it are
// still what they were.
type Checkpoint struct {
	Writer string // peer ID
	Log    string // name of the log
	Chain  string // 32 hex digits
	Seq    uint64 // of the last record
	Hash   string // of that record, 64 hex digits
	Time   time.Time
	// Signature is by the writer's Ed25519 identity.
	Signature []byte
}

const (
	// checkpointDomain stands before what is signed.
	checkpointDomain = "shoal-audit-checkpoint-v1:"
	// CheckpointBytesMax bounds a checkpoint as text.
	CheckpointBytesMax = 1024
	peerBytesMax       = 128
	logNameBytesMax    = 16
)

var errCheckpoint = errors.New("is no checkpoint")

// appendBare appends all but the signature and the end.
func (c *Checkpoint) appendBare(b []byte) []byte {
	b = append(b, `{"format":1`...)
	b = appendText(b, "writer", c.Writer, peerBytesMax)
	b = appendText(b, "log", c.Log, logNameBytesMax)
	b = appendText(b, "chain", c.Chain, 2*16)
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, c.Seq, 10)
	b = appendText(b, "hash", c.Hash, 2*len(hash{}))
	b = append(b, `,"time":"`...)
	return append(appendTime(b, c.Time), '"')
}

// message is what is signed.
func (c *Checkpoint) message() []byte { return c.appendBare([]byte(checkpointDomain)) }

// Text gives the checkpoint as one line of JSON, without a line end.
func (c *Checkpoint) Text() []byte {
	b := append(c.appendBare(nil), `,"signature":"`...)
	return append(base64.StdEncoding.AppendEncode(b, c.Signature), `"}`...)
}

// ParseCheckpoint reads a checkpoint in the one form that Text gives it. It does not look at the signature.
func ParseCheckpoint(text []byte) (*Checkpoint, error) {
	if len(text) > CheckpointBytesMax {
		return nil, errCheckpoint
	}
	var c struct {
		Writer, Log, Chain, Hash string
		Seq                      uint64
		Time                     time.Time
		Signature                []byte
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, errCheckpoint
	}
	p := &Checkpoint{c.Writer, c.Log, c.Chain, c.Seq, c.Hash, c.Time, c.Signature}
	if _, ok := parseHash(p.Hash); !ok || !safeName(p.Writer) || !safeName(p.Log) || p.Seq == 0 || !bytes.Equal(p.Text(), text) {
		return nil, errCheckpoint
	}
	return p, nil
}

// safeName says that a text may be part of a file's name.
func safeName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			return false
		}
	}
	return s != ""
}

// KeyOf finds the Ed25519 key that a peer ID names.
type KeyOf func(peerID string) (ed25519.PublicKey, error)

// Check says whether the writer has signed the checkpoint.
func (c *Checkpoint) Check(keyOf KeyOf) error {
	key, err := keyOf(c.Writer)
	if err != nil {
		return err
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, c.message(), c.Signature) {
		return fmt.Errorf("checkpoint of %s, %s log, record %d: its signature is not the writer's", c.Writer, c.Log, c.Seq)
	}
	return nil
}
