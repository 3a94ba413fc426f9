package gossip

import (
	"errors"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/wire"
)

// Kinds of messages. The numbers travel.
const (
	kindRecord     = 1 // on the state topic
	kindRevocation = 2 // on the other
	kindAlert      = 3
	kindCheckpoint = 4

	alertMax      = 1024
	checkpointMax = 1024
)

// envelope is what a message on either topic holds.
type envelope struct {
	kind       uint64
	body       []byte
	credential []byte // the author's
}

func (e *envelope) encode() []byte {
	var r wire.Record
	r.Uint(1, e.kind)
	r.Bytes(2, e.body)
	r.Bytes(3, e.credential)
	return r
}

func decodeEnvelope(b []byte) (e envelope, err error) {
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			e.kind = f.Uint()
		case 2:
			e.body = f.Bytes(RecordMax)
		case 3:
			e.credential = f.Bytes(member.RecordMax)
		}
	}
	return e, f.Err()
}

// checkRecord validates a message of the state topic.
func (g *Gossip) checkRecord(author p2p.NodeID, e *envelope) bool {
	if e.kind != kindRecord {
		return true // of a later release; pass it on
	}
	r, err := Decode(e.body)
	return err == nil && r.Peer == author
}

func (g *Gossip) onRecord(author p2p.NodeID, e *envelope) {
	r, err := Decode(e.body)
	if e.kind != kindRecord || err != nil {
		return
	}
	// Site and roles are what the credential says, whatever the record claims.
	if c, ok := g.cfg.Trust.Member(author); ok {
		r.Site, r.Roles = c.Site, c.Roles
		g.take(r)
	}
}

// checkCritical validates a message of the critical topic. A revocation verifies by itself, whoever
// sends it.
func (g *Gossip) checkCritical(_ p2p.NodeID, e *envelope) bool {
	switch e.kind {
	case kindRevocation:
		_, err := g.cfg.Trust.Cluster().VerifyRevocation(e.body, g.cfg.Trust.Now())
		return err == nil || errors.Is(err, member.ErrExpired)
	case kindAlert:
		return len(e.body) <= alertMax
	case kindCheckpoint:
		return len(e.body) <= checkpointMax
	}
	return true
}

func (g *Gossip) onCritical(author p2p.NodeID, e *envelope) {
	switch e.kind {
	case kindRevocation:
		if _, err := g.cfg.Trust.Revoke(e.body); err != nil {
			g.cfg.Log.Warn("revocation not taken", "err", err)
		}
	case kindAlert:
		if g.cfg.OnAlert != nil {
			g.cfg.OnAlert(author, string(e.body))
		}
	case kindCheckpoint:
		if g.cfg.OnCheckpoint != nil {
			g.cfg.OnCheckpoint(author, e.body)
		}
	}
}
