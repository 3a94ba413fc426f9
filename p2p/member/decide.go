package member

import (
	"errors"
	"fmt"

	"shoal/p2p"
)

// Decision is what a table says about a credential whose signature is good.
type Decision uint8

const (
	// No: the peer is out, or shows a credential that has been replaced. A newer table cannot
	// change that.
	No Decision = iota
	// Yes: the table names the peer.
	Yes
	// AskNewer: this table cannot know. A newer one must be fetched before the peer is served.
	AskNewer
)

func (d Decision) String() string {
	switch d {
	case No:
		return "no"
	case Yes:
		return "yes"
	case AskNewer:
		return "ask newer"
	}
	return fmt.Sprintf("decision(%d)", uint8(d))
}

// Why a peer with a good signature is not served.
var (
	ErrNotInTable = errors.New("peer is not in the member table")
	ErrLeft       = errors.New("peer has left the cluster")
	ErrReplaced   = errors.New("credential was replaced by a newer one")
	ErrNoRole     = errors.New("no role is left to the peer")
)

// Ruling is a decision with what follows from it.
type Ruling struct {
	Decision Decision
	// Peer is how handlers shall see it, if Yes: with the site of its row, and with the roles that
	// both the row and the credential name.
	Peer p2p.Peer
	// Behind says that the credential was issued after this table: there is a newer one, which may
	// give the peer other roles.
	Behind bool
	// Reason is not nil unless the decision is Yes.
	Reason error
}

// Decide says whether the holder of c, whose signature was checked, belongs to the cluster.
//
// The row decides, not the credential: whoever holds the cluster key can sign credentials, but
// cannot put a row into the system group. A credential may be newer than the table (a serial above
// the row's: it was issued again); one that is older than its row has been replaced, and stays so
// in every later table, because serials only rise.
//
// A peer that the table lacks, or that it says has left while the credential was issued later, is
// decided by a newer table. A peer with a good row needs no such question even when its credential
// is newer: asking would not make the answer safer, since the epoch in a credential is a claim,
// and the peers that hold the newer table must be let in before they can be asked.
func (t *Table) Decide(c Credential) Ruling {
	t.mu.RLock()
	defer t.mu.RUnlock()
	m, ok := t.rows[c.Peer]
	behind := c.Epoch > t.epoch
	switch {
	case !ok:
		return Ruling{Decision: AskNewer, Behind: behind, Reason: ErrNotInTable}
	case c.Serial < m.Serial:
		return Ruling{Behind: behind, Reason: ErrReplaced}
	case m.State == StateActive || m.State == StateDraining:
	case behind:
		return Ruling{Decision: AskNewer, Behind: true, Reason: ErrLeft}
	default:
		return Ruling{Reason: ErrLeft}
	}
	roles := m.Roles & c.Roles
	if roles == 0 {
		if behind {
			return Ruling{Decision: AskNewer, Behind: true, Reason: ErrNoRole}
		}
		return Ruling{Reason: ErrNoRole}
	}
	return Ruling{
		Decision: Yes, Behind: behind,
		Peer: p2p.Peer{ID: c.Peer, Site: m.Site, Roles: roles, Epoch: c.Epoch},
	}
}
