package node

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"shoal/node/api"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// actBook is a log of acts.
type actBook struct {
	mu   sync.Mutex
	acts []api.Act // guarded by mu
}

func (b *actBook) record(_ context.Context, a api.Act) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts = append(b.acts, a)
	return nil
}

// of gives the acts of an operation, in order.
func (b *actBook) of(operation string) []api.Act {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.acts), func(a api.Act) bool { return a.Operation != operation })
}

// TestInvitationsHaveIDs: an invitation is named as the act of joining by it names it.
func TestInvitationsHaveIDs(t *testing.T) {
	n := start(t, Config{DataDir: t.TempDir()})
	made, err := n.Store().Invite(t.Context(), api.Invite{Role: "gateway", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	token, err := member.ParseToken(made.Token)
	if err != nil || made.ID != token.ID.String() || len(made.ID) != 16 {
		t.Errorf("the invitation %s has the token %v, %v", made.ID, token, err)
	}
}

// TestJoinsAreActs: who joins by a token or by its ID is on record, with the row before and after and with the ID of the token, never the
// token. Who is refused is not.
func TestJoinsAreActs(t *testing.T) {
	n := start(t, Config{DataDir: t.TempDir()})
	newcomer := func(seed byte) *transport.Identity {
		id, err := transport.NewIdentity(bytes.Repeat([]byte{seed}, 32))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	text, err := n.invite(t.Context(), api.Invite{Role: "gateway", Site: "north", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	token, err := member.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	byToken := transport.JoinRequest{
		Peer: newcomer(1).NodeID(), Remote: "192.0.2.1:5", Token: token.ID, HasProof: true,
		Proved: func(verifier [32]byte) bool { return verifier == token.Verifier() },
	}
	if _, err := n.admit(t.Context(), byToken); err != nil {
		t.Fatal(err)
	}
	var refusal *transport.JoinRefusal
	if _, err := n.admit(t.Context(), byToken); !errors.As(err, &refusal) { // the token was used
		t.Errorf("admitted twice: %v", err)
	}
	byID := transport.JoinRequest{Peer: newcomer(2).NodeID(), Remote: "192.0.2.2:5"}
	if _, err := n.admit(t.Context(), byID); !errors.As(err, &refusal) {
		t.Errorf("admitted uninvited: %v", err)
	}
	if _, err := n.allow(t.Context(), api.Allow{PeerID: string(byID.Peer), Role: "node", TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is a member already, that wants a new credential
		if _, err := n.admit(t.Context(), byID); err != nil {
			t.Fatal(err)
		}
	}
	acts := n.acts.of("JoinMember")
	want := []api.Act{
		{Kind: "membership", Operation: "JoinMember", Target: string(byToken.Peer), RemoteAddr: "192.0.2.1:5",
			After: joinedState{api.MemberState{Roles: []string{"gateway"}, Site: "north", State: "active"}, token.ID.String()}},
		{Kind: "membership", Operation: "JoinMember", Target: string(byID.Peer), RemoteAddr: "192.0.2.2:5",
			After: joinedState{api.MemberState{Roles: []string{"node"}, Site: n.issuer.own.Site, State: "active"}, "peer ID"}},
	}
	if !reflect.DeepEqual(acts, want) {
		t.Errorf("acts\n%+v, want\n%+v", acts, want)
	}
}

// TestRevokedNamesWhoWaits: whoever revokes a member hears which of the others have not acknowledged it.
func TestRevokedNamesWhoWaits(t *testing.T) {
	n := start(t, Config{DataDir: t.TempDir()})
	slow, victim := n.openGateway(t), n.openGateway(t)
	release := make(chan struct{})
	slow.net.Trust.OnRevoke(func(member.Revocation) { <-release })
	eventually(t, "a connection with the slow gateway", func() bool { return slices.Contains(n.net.Host.Connected(), slow.net.Host.Self()) })
	r, err := n.revoke(t.Context(), string(victim.net.Host.Self()))
	close(release)
	if err != nil || r.Members != 1 || r.Acknowledged != 0 || !slices.Equal(r.Waiting, []string{string(slow.net.Host.Self())}) {
		t.Errorf("%+v, %v", r, err)
	}
}
